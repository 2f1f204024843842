"""``python -m ptv_hub`` is ``ptv-hub``."""

from ptv_hub.cli import main

if __name__ == "__main__":
    main()
