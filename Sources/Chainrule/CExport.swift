extension Model {
  /// The model as one file of C99.
  public func exportC(named name: String = "predict") throws(ChainruleError) -> String {
    throw .invalidArgument(message: "export to C is not written yet")
  }
}

extension SavedModel {
  /// Reads plain safetensors.
  public init(safetensors path: String, activations: [Activation]) throws(ChainruleError) {
    throw .invalidModel(path: path, reason: "import of safetensors is not written yet")
  }
}
