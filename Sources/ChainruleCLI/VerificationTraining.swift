import Chainrule
import ChainruleExplain
import ChainruleReference

extension Verification.Case {
  /// The worst error after each of the limits' steps.
  ///
  /// - Parameter prepare: Changes the reference before it trains; a test plants an error with it.
  func compare(
    preparing prepare: (inout ChainruleReference.Network<Double>) -> Void = { _ in }
  ) throws -> [Agreement] {
    let network = try network()
    let core = try Chainrule.Trainer(
      network, loss: loss, optimizer: optimizer,
      options: TrainerOptions(
        regularization: regularization, accumulationSteps: accumulating, layerRates: layerRates))
    // A second trainer records the trace. Its seed is the same, so its dropout is, too.
    let traced = try Chainrule.Trainer(
      self.network(), loss: loss, optimizer: optimizer,
      options: TrainerOptions(
        regularization: regularization, accumulationSteps: accumulating, layerRates: layerRates,
        recordsTrace: true))
    let noise = try regularization.inputNoise > 0 ? noise() : nil

    var start = ChainruleReference.Network(layers: parameters)
    prepare(&start)
    var reference = ChainruleReference.Trainer(
      network: start, loss: try ChainruleReference.Loss(loss),
      optimizer: ChainruleReference.Optimizer(optimizer), labelSmoothing: regularization.labelSmoothing,
      clipping: [
        regularization.gradientClipNorm.map { .norm($0) },
        regularization.gradientClipValue.map { .value($0) },
      ]
      .compactMap(\.self), maxNorm: regularization.maxNorm, layerRates: layerRates,
      accumulating: accumulating)

    var (found, expected): ([Double], [Double]) = ([], [])
    var agreements: [Agreement] = []
    for (batch, number) in zip(batches, 1...) {
      let data = try Dataset(features: batch.x, targets: batch.y, sampleWeights: batch.sampleWeights)
      found.append(try core.step(data))
      try traced.step(data)
      let trace = try traced.trace()
      let step = reference.step(
        x: batch.x, y: batch.y, sampleWeights: batch.sampleWeights, kept: kept(in: trace),
        noise: noise?[number - 1])
      if number == batches.count {
        try core.flush()
        reference.flush()
      }
      expected.append(step.loss)
      guard Verification.limits.contains(where: { $0.steps == number }) else { continue }

      var agreement = Agreement()
      agreement.compare(found, with: expected, "the losses")
      agreement.compare(trace.last!.a, with: step.a[trace.count - 1].flatMap(\.self), "the outputs")
      agreement.compare(
        trace.flatMap(\.gradient), with: step.gradients.flatMap(\.numbers), "the gradients")
      for (index, layer) in reference.network.layers.enumerated() {
        let parameters = try network.parameters(ofLayer: index)
        func compare(_ found: [Double]?, _ expected: [Double]?, _ name: String) {
          agreement.compare(found ?? [], with: expected ?? [], "the \(name) of layer \(index + 1)")
        }
        compare(parameters.weights, layer.weights.flatMap(\.self), "weights")
        compare(parameters.bias, layer.bias, "bias")
        compare(parameters.gamma, layer.gamma, "gamma")
        compare(parameters.beta, layer.beta, "beta")
        compare(parameters.mean, layer.mean, "mean")
        compare(parameters.variance, layer.variance, "variance")
      }
      agreement.compare(
        try network.predict(data.features), with: reference.network.predict(batch.x).flatMap(\.self),
        "the predictions")
      agreements.append(agreement)
    }
    return agreements
  }

  /// The core's network, with the parameters of the case.
  private func network() throws -> Chainrule.Network<Double> {
    let network = try Chainrule.Network<Double>(inputs: inputs, layers: layers)
    for (index, layer) in parameters.enumerated() {
      var parameters = try network.parameters(ofLayer: index)
      parameters.weights = layer.weights.flatMap(\.self)
      parameters.bias = layer.bias
      parameters.gamma = layer.gamma
      parameters.beta = layer.beta
      parameters.mean = layer.mean
      parameters.variance = layer.variance
      parameters.deviation = layer.deviation
      try network.setParameters(parameters, ofLayer: index)
    }
    return network
  }

  /// The input noise of each batch: the output of an identity network for inputs of 0, after the same number of steps.
  private func noise() throws -> [[[Double]]] {
    let mirror = try Chainrule.Network<Double>(inputs: inputs, layers: [.activation(.identity)])
    let trainer = try Chainrule.Trainer(
      mirror, loss: .halfSquaredError,
      options: TrainerOptions(
        regularization: Regularization(inputNoise: regularization.inputNoise),
        accumulationSteps: accumulating, recordsTrace: true))
    return try batches.map { batch in
      let zeros = batch.x.map { $0.map { _ in 0.0 } }
      try trainer.step(Dataset(features: zeros, targets: zeros))
      let noise = try trainer.trace()[0].a
      return batch.x.indices.map { row in Array(noise[row * inputs..<(row + 1) * inputs]) }
    }
  }

  /// The values that each dropout kept, by its layer: all that are not 0. A value that was 0 before, such as after a relu,
  /// has gradient 0 in either case.
  private func kept(in trace: [LayerTrace<Double>]) -> [Int: [[Bool]]] {
    var kept: [Int: [[Bool]]] = [:]
    for (index, layer) in trace.enumerated() {
      guard case .dropout = layers[index] else { continue }
      kept[index] = (0..<layer.rows).map { row in
        layer.a[row * layer.units..<(row + 1) * layer.units].map { $0 != 0 }
      }
    }
    return kept
  }
}

extension LayerTrace<Double> {
  /// ∂L/∂b, then ∂L/∂W row by row, then ∂L/∂γ and ∂L/∂β, as a gradient of the reference.
  fileprivate var gradient: [Double] {
    (biasGradient ?? []) + weightsGradient + (gammaGradient ?? []) + (betaGradient ?? [])
  }
}
