extension SavedModel {
  /// Reads plain safetensors.
  public init(safetensors path: String, activations: [Activation]) throws(ChainruleError) {
    throw .invalidModel(path: path, reason: "import of safetensors is not written yet")
  }
}
