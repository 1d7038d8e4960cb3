"""A worker that is not done with loading as long as anybody waits."""

import time

if __name__ == "__main__":
    time.sleep(600)
