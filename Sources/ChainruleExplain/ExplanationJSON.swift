/// As `chainrule explain --format json` prints it: the keys of a golden file's `expect`, and `trace`, for each
/// step each layer's z, a, δ and the optimizer's state after the update. Every number reads back as the same float64.
extension Explanation: Encodable {
  private enum CodingKeys: CodingKey {
    case name, outputs, gradients, losses, parametersAfter, trace
  }

  private struct LayerTrace: Encodable {
    var z, a, delta: [[Double]]
    /// By the symbols of the optimizer's rule; nil where it keeps nothing of the layer.
    var state: [String: StepFile.Parameters]?

    init(_ layer: Explanation.Layer) {
      (z, a, delta) = (layer.z, layer.a, layer.delta)
      if layer.state.isEmpty { return }
      state = Dictionary(uniqueKeysWithValues: layer.state.map { ($0.name, $0.values) })
    }
  }

  /// Writes one object.
  public func encode(to encoder: any Encoder) throws {
    let results = results
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(name, forKey: .name)
    try container.encode(results.outputs, forKey: .outputs)
    try container.encode(results.gradients, forKey: .gradients)
    try container.encode(results.losses, forKey: .losses)
    try container.encode(results.parametersAfter, forKey: .parametersAfter)
    try container.encode(batches.map { $0.layers.map(LayerTrace.init) }, forKey: .trace)
  }
}
