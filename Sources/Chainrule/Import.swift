internal import CChainrule

extension SavedModel {
  /// Makes a model of the tensors of a multilayer perceptron, as PyTorch names them in a safetensors file:
  /// `0.weight` [units, inputs] and `0.bias` [units] of a dense layer, `1.weight` [units] and `1.bias` of a
  /// `layerNorm`, these with `1.running_mean` and `1.running_var` of a `batchNorm`. The prefixes, such as `net.0`, differ
  /// in their numbers alone, which give the order.
  ///
  /// F64 makes a float64 model; F32, F16 and BF16 make a float32 one, without rounding.
  ///
  /// - Parameter activations: What follows each layer that has tensors, which such a file does not say.
  /// - Throws: `ChainruleError.file` where the system refuses, `.invalidModel` for a file that is damaged or holds other
  ///   tensors, `.invalidArgument` for another number of activations than of layers, `.invalidNetwork` for a softmax
  ///   before the last.
  public init(safetensors path: String, activations: [Activation]) throws(ChainruleError) {
    let activations = activations.map(\.core)
    var pointer: OpaquePointer?
    try check(path: path) { error in
      activations.withUnsafeBufferPointer {
        chainrule_network_import_safetensors(path, $0.baseAddress, $0.count, &pointer, &error)
      }
    }
    self.init(owning: pointer!)
  }
}
