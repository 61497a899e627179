import Chainrule
import ChainruleReference

/// A workload trained by the pure-Swift reference in float32, with the same initial parameters as the core.
public struct ReferenceTraining {
  private var trainer: ChainruleReference.Trainer<Float>
  private let batches: [(x: [[Float]], y: [[Float]])]
  /// The loss of the last batch, before its update.
  public private(set) var loss: Float = .nan

  /// Makes the data and the batches, and copies the parameters of the core's network.
  public init(_ workload: TrainingWorkload) throws {
    let data: Dataset<Float> = try workload.dataset()
    batches = stride(from: 0, to: data.rows, by: workload.batch).map { first in
      let rows = (first..<min(first + workload.batch, data.rows)).map { data[row: $0] }
      return (x: rows.map { Array($0.features) }, y: rows.map { Array($0.targets) })
    }
    let network: Chainrule.Network<Float> = try workload.network()
    let layers = try network.layers.enumerated().map { index, layer in
      let parameters = try network.parameters(ofLayer: index)
      return ChainruleReference.Layer(
        weights: stride(from: 0, to: parameters.weights.count, by: parameters.inputs).map {
          Array(parameters.weights[$0..<$0 + parameters.inputs])
        },
        bias: parameters.bias, activation: .init(rawValue: layer.activation.rawValue)!)
    }
    let rule = try workload.rule
    let optimizer: ChainruleReference.Optimizer<Float> =
      rule.kind == .sgd
      ? .sgd(learningRate: Float(rule.learningRate), momentum: Float(rule[.momentum]!))
      : .adam(learningRate: Float(rule.learningRate))
    trainer = ChainruleReference.Trainer(
      network: ChainruleReference.Network(layers: layers), loss: .init(rawValue: workload.loss.rawValue)!,
      optimizer: optimizer)
  }

  /// One pass over all rows in order.
  public mutating func trainEpoch() {
    for batch in batches { loss = trainer.step(x: batch.x, y: batch.y).loss }
  }
}
