/// As `chainrule explain --format json` prints it: the keys of a golden file's `expect`, and `trace`, for each
/// batch each layer's z, a and δ. Every number reads back as the same float64.
extension Explanation: Encodable {
  private enum CodingKeys: CodingKey {
    case name, outputs, gradients, losses, parametersAfter, trace
  }

  private struct LayerTrace: Encodable {
    var z, a, delta: [[Double]]
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
    try container.encode(
      batches.map { batch in batch.layers.map { LayerTrace(z: $0.z, a: $0.a, delta: $0.delta) } },
      forKey: .trace)
  }
}
