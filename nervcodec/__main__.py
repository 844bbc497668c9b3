"""python -m nervcodec."""

from nervcodec.cli import main

if __name__ == "__main__":
    main()
