"""Starting and ending a model server: TensorFlow Serving or the embedded one."""
