"""The exported model: its signatures, and the files that go with it."""
