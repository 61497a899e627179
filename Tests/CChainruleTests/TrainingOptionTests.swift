import Chainrule
import Foundation
import TestSupport
import Testing

/// A regression of 3 features and 2 targets, and networks for it.
private func data<Scalar: NetworkScalar>(
  rows: Int, seed: UInt64 = 9, weights: [Scalar]? = nil
) throws -> Dataset<Scalar> {
  var random = Random(state: seed)
  return try Dataset(
    features: random.matrix(rows, 3, scale: 1).map { $0.map { Scalar($0) } },
    targets: random.matrix(rows, 2, scale: 1).map { $0.map { Scalar($0) } }, sampleWeights: weights)
}

private func network<Scalar: NetworkScalar>(
  _: Scalar.Type = Scalar.self, kernelSet: String? = nil
) throws -> Network<Scalar> {
  try Network(
    inputs: 3, layers: [.dense(Dense(19, activation: .tanh)), .dense(Dense(2))], seed: 5, kernelSet: kernelSet
  )
}

private func expectClose(_ a: [Double], _ b: [Double], _ allowed: Double = 1e-13) {
  #expect(a.count == b.count)
  let worst = zip(a, b).map { abs($0 - $1) }.max() ?? .infinity
  #expect(worst <= allowed)
}

@Suite struct `Gradients` {
  /// p − η g of one step of plain SGD, with g as it is.
  func moved(_ regularization: Regularization, kernelSet: String) throws -> (
    before: [Double], after: [Double]
  ) {
    let network = try network(Double.self, kernelSet: kernelSet)
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 1),
      options: TrainerOptions(regularization: regularization))
    let before = try network.bits
    try trainer.step(data(rows: 8))
    return (before, try network.bits)
  }

  @Test(arguments: Network<Double>.kernelSets)
  func `are clipped by value and by norm`(kernelSet: String) throws {
    let (start, free) = try moved(.none, kernelSet: kernelSet)
    let g = zip(start, free).map(-)
    let norm = g.reduce(0) { $0 + $1 * $1 }.squareRoot()
    let byValue = try moved(Regularization(gradientClipValue: 0.05), kernelSet: kernelSet).after
    expectClose(byValue, zip(start, g).map { $0 - min(max($1, -0.05), 0.05) })
    #expect(g.contains { abs($0) > 0.05 } && g.contains { abs($0) < 0.05 })
    let byNorm = try moved(Regularization(gradientClipNorm: 0.1), kernelSet: kernelSet).after
    expectClose(byNorm, zip(start, g).map { $0 - $1 * 0.1 / (norm + 1e-6) })
    #expect(try moved(Regularization(gradientClipNorm: 10 * norm), kernelSet: kernelSet).after == free)
    let both = try moved(Regularization(gradientClipNorm: 0.1, gradientClipValue: 0.01), kernelSet: kernelSet)
      .after
    expectClose(both, zip(start, g).map { $0 - min(max($1 * 0.1 / (norm + 1e-6), -0.01), 0.01) })
  }

  @Test func `of accumulated batches are those of one batch`() throws {
    let weights = (0..<24).map { 0.5 + Double($0 % 5) }
    func trained(batchSize: Int, accumulating: Int, epochs: Int = 3) throws -> (steps: Int, [Double]) {
      let network = try network(Double.self)
      let trainer = try Trainer(
        network, loss: .meanSquaredError, optimizer: .adam(learningRate: 0.01),
        options: TrainerOptions(accumulationSteps: accumulating, shuffle: false))
      for _ in 0..<epochs { try trainer.epoch(on: data(rows: 24, weights: weights), batchSize: batchSize) }
      return (trainer.steps, try network.bits)
    }
    let whole = try trained(batchSize: 8, accumulating: 1)
    let parts = try trained(batchSize: 2, accumulating: 4)
    #expect(whole.steps == 9 && parts.steps == 9)
    expectClose(whole.1, parts.1, 1e-10)
    // 24 rows are two updates of 8 batches and one of 8 rows: the last is not lost.
    #expect(try trained(batchSize: 2, accumulating: 5, epochs: 1).steps == 3)
  }

  @Test func `that are still due come with flush`() throws {
    let network = try network(Double.self)
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(accumulationSteps: 3))
    let before = try network.bits
    try trainer.step(data(rows: 4))
    #expect(try network.bits == before && trainer.steps == 0)
    try trainer.flush()
    #expect(try network.bits != before && trainer.steps == 1)
    try trainer.flush()
    #expect(trainer.steps == 1)
  }
}

@Suite struct `Weights` {
  @Test(arguments: Network<Float>.kernelSets)
  func `stay within their norm`(kernelSet: String) throws {
    let network = try network(Float.self, kernelSet: kernelSet)
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.5),
      options: TrainerOptions(regularization: Regularization(maxNorm: 0.7)))
    try trainer.epoch(on: data(rows: 60))
    for layer in 0..<2 {
      let p = try network.parameters(ofLayer: layer)
      let norms = (0..<p.units).map { j in
        p.weights[j * p.inputs..<(j + 1) * p.inputs].reduce(0) { $0 + $1 * $1 }.squareRoot()
      }
      #expect(norms.allSatisfy { $0 <= 0.7 * 1.00001 })
      #expect(norms.contains { $0 > 0.69 })
    }
  }

  @Test func `of a frozen layer stay, and others move at their own rate`() throws {
    let layers = [.dense(Dense(5, activation: .tanh)), .batchNorm(BatchNorm()), .dense(Dense(2))] as [Layer]
    func moved(
      _ rates: [Int: Double], _ optimizer: Optimizer = .sgd(learningRate: 0.1)
    ) throws -> [[Double]] {
      let network = try Network<Double>(inputs: 3, layers: layers, seed: 1)
      let before = try layers.indices.map {
        try network.numbers(ofLayer: $0) + network.statistics(ofLayer: $0)
      }
      let trainer = try Trainer(
        network, loss: .meanSquaredError, optimizer: optimizer, options: TrainerOptions(layerRates: rates))
      try trainer.step(data(rows: 10))
      let after = try layers.indices.map {
        try network.numbers(ofLayer: $0) + network.statistics(ofLayer: $0)
      }
      return zip(before, after).map { zip($0, $1).map(-) }
    }
    let free = try moved([:])
    let slow = try moved([0: 0.5])
    expectClose(slow[0], free[0].map { $0 / 2 })
    #expect(slow[1] == free[1] && slow[2] == free[2])
    let frozen = try moved([0: 0, 1: 0])
    #expect(frozen[0].allSatisfy { $0 == 0 } && frozen[1].allSatisfy { $0 == 0 })
    #expect(frozen[2].contains { $0 != 0 })
    // rprop's steps do not go by the rate.
    #expect(try moved([0: 0], .rprop()).first!.allSatisfy { $0 == 0 })
  }
}

@Suite struct `A row` {
  @Test func `of weight 2 is the row twice`() throws {
    func trained(_ rows: [Int], weights: [Double]?) throws -> [Double] {
      let all: Dataset<Double> = try data(rows: 5)
      let network = try network(Double.self)
      let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
      let batch = try Dataset(
        features: rows.map { Array(all.features[$0 * 3..<$0 * 3 + 3]) },
        targets: rows.map { Array(all.targets[$0 * 2..<$0 * 2 + 2]) }, sampleWeights: weights)
      for _ in 0..<20 { try trainer.step(batch) }
      return try network.bits
    }
    expectClose(
      try trained([0, 1, 2, 3, 4], weights: [1, 2, 1, 1, 3]),
      try trained([0, 1, 1, 2, 3, 4, 4, 4], weights: nil))
  }

  @Test func `gets noise of its own, which no thread and no order changes`() throws {
    func trained(_ sigma: Double, threads: Int = 1, seed: UInt64 = 1) throws -> [Float] {
      let network = try network(Float.self)
      let trainer = try Trainer(
        network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1),
        options: TrainerOptions(
          regularization: Regularization(inputNoise: sigma), seed: seed, threads: threads))
      for _ in 0..<3 { try trainer.epoch(on: data(rows: 60), batchSize: 16) }
      return try network.bits
    }
    #expect(try trained(0.1) == trained(0.1, threads: 2))
    #expect(try trained(0.1) != trained(0))
    #expect(try trained(0.1) != trained(0.1, seed: 2))

    // Through an identity network the outputs are the noisy inputs themselves.
    let mirror = try Network<Double>(inputs: 50, layers: [.activation(.identity)])
    let trainer = try Trainer(
      mirror, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0),
      options: TrainerOptions(regularization: Regularization(inputNoise: 0.5), recordsTrace: true))
    let zeros = [Double](repeating: 0, count: 50 * 400)
    let batch = try Dataset(features: zeros, targets: zeros, rows: 400, inputs: 50, outputs: 50)
    try trainer.step(batch)
    let first = try trainer.trace()[0].a
    let mean = first.reduce(0, +) / 20_000, square = first.reduce(0) { $0 + $1 * $1 } / 20_000
    #expect(
      abs(mean) < 4 * 0.5 / 20_000.0.squareRoot()
        && abs(square - 0.25) < 0.25 * 4 * (2 / 20_000.0).squareRoot())
    try trainer.step(batch)
    #expect(try trainer.trace()[0].a != first)
  }

  @Test func `gets that noise behind the scaling layers that come first, in their units`() throws {
    /// What the first layer behind the scalings takes, with noise of 0.25 and without.
    func outputs(_ scalings: [Scaling], noise: Double) throws -> [Double] {
      let network = try Network<Double>(
        inputs: 3, layers: scalings.map(Layer.scaling) + [.activation(.identity)])
      let trainer = try Trainer(
        network, loss: .meanSquaredError,
        options: TrainerOptions(regularization: Regularization(inputNoise: noise), recordsTrace: true))
      let x: Dataset<Double> = try data(rows: 7)
      try trainer.step(Dataset(features: x.features, targets: x.features, rows: 7, inputs: 3, outputs: 3))
      return try trainer.trace().last!.a
    }
    func added(_ scalings: [Scaling]) throws -> [Double] {
      try zip(outputs(scalings, noise: 0.25), outputs(scalings, noise: 0)).map(-)
    }
    let one = Scaling(mean: [5, -3, 0], deviation: [100, 0.01, 2])
    let other = Scaling(mean: [0, 1, 2], deviation: [0.5, 3, 7])
    let plain = try added([])
    #expect(plain.contains { abs($0) > 0.1 })
    expectClose(try added([one]), plain, 1e-12)
    expectClose(try added([one, other]), plain, 1e-12)
  }
}

@Suite struct `A loss of one's own` {
  static let squares = LossFunction<Double> { outputs, targets, columns in
    let d = zip(outputs, targets).map { $0 - $1 }
    let losses = stride(from: 0, to: d.count, by: columns).map { row in
      d[row..<row + columns].reduce(0) { $0 + $1 * $1 } / Double(columns)
    }
    return (losses, d.map { 2 * $0 / Double(columns) })
  }

  @Test(arguments: [1, 2])
  func `trains as the built-in one does`(threads: Int) throws {
    let weights = (0..<30).map { 0.5 + Double($0 % 3) }
    let batch = try data(rows: 30, weights: weights)
    let (one, other) = (try network(Double.self), try network(Double.self))
    let builtIn = try Trainer(
      one, loss: .meanSquaredError, options: TrainerOptions(seed: 4, threads: threads))
    let own = try Trainer(other, loss: Self.squares, options: TrainerOptions(seed: 4, threads: threads))
    for _ in 0..<5 {
      let (a, b) = (try builtIn.epoch(on: batch, batchSize: 7), try own.epoch(on: batch, batchSize: 7))
      #expect(abs(a - b) < 1e-12)
    }
    expectClose(try one.bits, try other.bits, 1e-10)
  }

  @Test func `validates by itself`() async throws {
    let trainer = try Trainer(try network(Double.self), loss: Self.squares)
    let all: Dataset<Double> = try data(rows: 30)
    for try await epoch in trainer.epochs(2, on: all, validating: all) {
      let expected = try trainer.network.evaluate(all, loss: .meanSquaredError).loss
      #expect(abs(epoch.validation!.loss - expected) < 1e-12)
    }
  }

  @Test func `that returns too few numbers ends the step with an error that says so`() throws {
    let network = try network(Double.self)
    let before = try network.bits
    let trainer = try Trainer(network, loss: LossFunction { _, _, _ in ([1], []) })
    #expect(throws: ChainruleError.shapeMismatch(what: "losses of a loss function", expected: 4, actual: 1)) {
      try trainer.step(data(rows: 4))
    }
    #expect(try network.bits == before)
  }
}

@Suite struct `Data in parts` {
  @Test func `come to the same bits as in one run`() throws {
    let all: Dataset<Float> = try data(rows: 64)
    func rows(_ range: Range<Int>) throws -> Dataset<Float> {
      try Dataset(
        features: Array(all.features[range.lowerBound * 3..<range.upperBound * 3]),
        targets: Array(all.targets[range.lowerBound * 2..<range.upperBound * 2]), rows: range.count,
        inputs: 3,
        outputs: 2)
    }
    let (one, other) = (try network(Float.self), try network(Float.self))
    let whole = try Trainer(one, loss: .meanSquaredError, options: TrainerOptions(shuffle: false))
    let parts = try Trainer(other, loss: .meanSquaredError)
    try whole.epoch(on: all, batchSize: 8)
    for part in [0..<16, 16..<24, 24..<64] { try parts.partialFit(rows(part), batchSize: 8) }
    #expect(try one.bits == other.bits && whole.steps == parts.steps)
  }
}

@Suite struct `An epoch that diverges` {
  @Test func `gives back the parameters of its beginning, and says why`() throws {
    let network = try network(Float.self)
    let trainer = try Trainer(network, loss: .halfSquaredError, optimizer: .sgd(learningRate: 0.05))
    let all: Dataset<Float> = try data(rows: 40)
    try trainer.epoch(on: all, batchSize: 4)
    let good = try network.bits
    try trainer.setLearningRate(1e30)
    let error = #expect(throws: ChainruleError.self) { try trainer.epoch(on: all, batchSize: 4) }
    guard case .notFinite(_, let layer, let step, let message) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(step != nil && (layer != nil || message.hasPrefix("the loss")))
    #expect(message.contains("; the learning rate, 1e+30, is probably too large"))
    #expect(try network.bits == good && trainer.completedEpochs == 1)
    try trainer.setLearningRate(0.05)
    try trainer.epoch(on: all, batchSize: 4)
    #expect(try network.bits.allSatisfy { $0.isFinite })
  }
}

@Suite struct `A number of the training is refused` {
  @Test func `where it makes no sense`() throws {
    let network = try network(Float.self)
    let bad: [Regularization] = [
      Regularization(labelSmoothing: 0.1), Regularization(labelSmoothing: 1),
      Regularization(labelSmoothing: -1),
      Regularization(inputNoise: -1), Regularization(inputNoise: .infinity),
      Regularization(gradientClipNorm: 0),
      Regularization(gradientClipNorm: .nan), Regularization(gradientClipValue: -1),
      Regularization(maxNorm: 0),
    ]
    for regularization in bad {
      #expect(throws: ChainruleError.self, "\(regularization)") {
        try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(regularization: regularization))
      }
    }
    #expect(throws: ChainruleError.self) {
      try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(accumulationSteps: 0))
    }
    #expect(throws: ChainruleError.self) {
      try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(layerRates: [2: 1]))
    }
    #expect(throws: ChainruleError.self) {
      try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(layerRates: [0: -1]))
    }
    #expect(throws: ChainruleError.self) {
      try Trainer(network, loss: .meanSquaredError).partialFit(data(rows: 2), batchSize: 0)
    }
  }
}
