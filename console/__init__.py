"""The entry points and front ends: command line, Textual console, HTML report, configuration and demo."""
