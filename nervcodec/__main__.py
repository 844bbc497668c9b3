"""python -m nervcodec."""

from nervcodec.cli.main import main

if __name__ == "__main__":
    main()
