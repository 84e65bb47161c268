"""Settings that choose an adapter by their key `kind`.

A kind of service manager, installer or health check is added like this: write one module
that holds its settings, a subclass of `TaggedSettings` whose tag is the kind, and its adapter. Then name both
in the module `kinds` of the package: the configuration is decoded into the union there, and the function
there makes the adapter. No other module has to know the new kind.
"""

import msgspec


class TaggedSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of the settings of one kind."""
