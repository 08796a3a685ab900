from .cli import main

if __name__ == "__main__":  # not in a worker, which begins by importing what began the process that began it
    main()
