"""`python -m console` is `rolldeck`: a console starts the processes of its rollouts in this way."""

from console.cli import main

if __name__ == "__main__":
    main()
