internal import CChainrule
internal import ChainrulePlatform

extension SavedModel {
  /// Creates a model from the tensors of a multilayer perceptron, as PyTorch names them in a safetensors
  /// file: `0.weight` [units, inputs] and `0.bias` [units] of a dense layer, `1.weight` [units] and `1.bias`
  /// of a `layerNorm`, these with `1.running_mean` and `1.running_var` of a `batchNorm`. Unless `layers`
  /// lists them, the prefixes, such as `net.0`, may differ only in their numbers, which give the order.
  ///
  /// F64 creates a float64 model; F32, F16 and BF16 create a float32 model, without rounding.
  ///
  ///     let model = try SavedModel(
  ///       safetensors: "net.safetensors", layers: ["fc1", "bn1", "head"],
  ///       activations: [.identity, .relu, .softmax])
  ///
  /// - Parameters:
  ///   - path: The safetensors file.
  ///   - layers: The prefixes of the layers' tensors, from first to last; `nil` to order them by their
  ///     numbers.
  ///   - activations: The activation after each layer with tensors, which the file does not contain.
  /// - Throws: `ChainruleError.file` if the system refuses, `.invalidModel` for a file that is damaged or has
  ///   other tensors, `.invalidArgument` if the number of activations differs from that of layers, or if
  ///   `layers` does not name each layer of the file once, `.invalidNetwork` for a softmax before the last
  ///   layer.
  public init(
    safetensors path: String, layers: [String]? = nil, activations: [Activation]
  ) throws(ChainruleError) {
    if let layers, layers.count != activations.count {
      throw .invalidArgument(
        message: "\(activations.count) activations; expected \(layers.count), one for each layer listed")
    }
    if let cut = layers?.first(where: { $0.utf8.contains(0) }) {
      throw .invalidValue(
        name: "a layer", value: cut.debugDescription, expected: "a prefix without a null character")
    }
    let activations = activations.map(\.core)
    var pointer: OpaquePointer?
    try check(path: path) { error in
      withCStrings(layers) { layers in
        activations.withUnsafeBufferPointer {
          chainrule_network_import_safetensors(path, layers, $0.baseAddress, $0.count, &pointer, &error)
        }
      }
    }
    self.init(owning: pointer!)
  }
}

/// Calls `body` with the strings as C strings; NULL for `nil`.
private func withCStrings<Result>(
  _ strings: [String]?, _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
) -> Result {
  guard let strings else { return body(nil) }
  let copies = strings.map { strdup($0) }
  defer { copies.forEach { free($0) } }
  return copies.map { UnsafePointer($0) }.withUnsafeBufferPointer { body($0.baseAddress) }
}
