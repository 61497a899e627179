import Chainrule
import TestSupport
import Testing

@Suite struct `Training learns` {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func `xor to the last row`(seed: UInt64) async throws {
    let network = try Network<Float>(inputs: 2, seed: seed) {
      Dense(8, activation: .tanh)
      Dense(1, activation: .sigmoid)
    }
    let trainer = try Trainer(
      network, loss: .binaryCrossEntropy, optimizer: .adam(learningRate: 0.05),
      options: TrainerOptions(seed: seed))
    let data = Dataset<Float>.xor
    for try await _ in trainer.epochs(2000, on: data, batchSize: 4, until: .loss(below: 0.01)) {}
    #expect(try network.evaluate(data).accuracy == 1)
    #expect(try network.evaluate(data).loss < 0.01)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `spirals to 99 percent`(seed: UInt64) async throws {
    let data = Dataset<Float>.spirals
    let network = try Network<Float>(inputs: 2, seed: seed) {
      Dense(32, activation: .tanh)
      Dense(32, activation: .tanh)
      Dense(data.outputs, activation: .softmax)
    }
    let trainer = try Trainer(
      network, loss: .crossEntropy, optimizer: .adam(learningRate: 0.01), options: TrainerOptions(seed: seed))
    for try await _ in trainer.epochs(1500, on: data, batchSize: 32, until: .loss(below: 0.01)) {}
    #expect(try network.evaluate(data).accuracy >= 0.99)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `iris to 95 percent held out`(seed: UInt64) async throws {
    let (train, test) = try Dataset<Float>.iris.split(holdingOut: 0.2, seed: seed)
    let network = try Network<Float>(inputs: 4, seed: seed) {
      Dense(16, activation: .tanh)
      Dense(3, activation: .softmax)
    }
    let trainer = try Trainer(
      network, loss: .crossEntropy, optimizer: .adam(learningRate: 0.01), options: TrainerOptions(seed: seed))
    for try await _ in trainer.epochs(200, on: train, batchSize: 16) {}
    #expect(try network.evaluate(test).accuracy >= 0.95)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `digits to 97 percent held out`(seed: UInt64) async throws {
    let (train, test) = try Dataset<Float>.digits.split(holdingOut: 0.2, seed: seed)
    let network = try Network<Float>(inputs: 64, seed: seed) {
      Dense(128, activation: .relu)
      Dense(10, activation: .softmax)
    }
    let trainer = try Trainer(
      network, loss: .crossEntropy, optimizer: .adam(), options: TrainerOptions(seed: seed))
    for try await _ in trainer.epochs(40, on: train, batchSize: 32) {}
    #expect(try network.evaluate(test).accuracy >= 0.97)
  }
}

@Suite struct `Training is reproducible` {
  /// A network after three epochs on random data, and the loss of the last.
  func trained<Scalar: NetworkScalar>(
    _: Scalar.Type, kernelSet: String, seed: UInt64 = 7, order: UInt64 = 7, tracing: Bool = false,
    optimizer: Optimizer = .adam(learningRate: 0.01)
  ) throws -> (bits: [Scalar], loss: Double) {
    var random = Random(state: 11)
    let data = try Dataset(
      features: random.matrix(53, 9, scale: 1).map { $0.map { Scalar($0) } },
      targets: random.matrix(53, 3, scale: 1).map { $0.map { Scalar($0) } })
    let layers: [Layer] = [
      .dense(Dense(13, activation: .gelu)), .dense(Dense(17, activation: .relu)),
      .dense(Dense(5, activation: .tanh, bias: false)), .dense(Dense(3)),
    ]
    let network = try Network<Scalar>(inputs: 9, layers: layers, seed: seed, kernelSet: kernelSet)
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: optimizer,
      options: TrainerOptions(seed: order, recordsTrace: tracing))
    var loss = 0.0
    for _ in 0..<3 { loss = try trainer.epoch(on: data, batchSize: 8) }
    return (try network.bits, loss)
  }

  func expectReproducible<Scalar: NetworkScalar>(_: Scalar.Type, kernelSet: String) throws {
    let first = try trained(Scalar.self, kernelSet: kernelSet)
    #expect(try trained(Scalar.self, kernelSet: kernelSet) == first, "the same seed, the same bits")
    #expect(try trained(Scalar.self, kernelSet: kernelSet, tracing: true) == first, "kept or shared")
    #expect(try trained(Scalar.self, kernelSet: kernelSet, seed: 8).bits != first.bits, "another start")
    #expect(try trained(Scalar.self, kernelSet: kernelSet, order: 8).bits != first.bits, "another order")
  }

  @Test(arguments: Target.all)
  func `bit by bit, whether a trace is kept or not`(target: Target) throws {
    switch target.scalar {
    case .float32: try expectReproducible(Float.self, kernelSet: target.kernelSet)
    case .float64: try expectReproducible(Double.self, kernelSet: target.kernelSet)
    }
  }

  /// What a network of `inputs` and more inputs, which are 0, has learned of the first and predicts.
  func trained<Scalar: NetworkScalar>(_: Scalar.Type, inputs: Int, more: Int) throws -> [[Scalar]] {
    var random = Random(state: 5)
    func matrix(_ rows: Int, _ columns: Int, more: Int = 0) -> [[Scalar]] {
      random.matrix(rows, columns, scale: 0.1).map {
        $0.map { Scalar($0) } + Array(repeating: 0, count: more)
      }
    }
    let data = try Dataset(features: matrix(23, inputs, more: more), targets: matrix(23, 3))
    let network = try Network<Scalar>(inputs: inputs + more) {
      Dense(20, activation: .tanh)
      Dense(3)
    }
    let first = matrix(20, inputs, more: more), second = matrix(3, 20)
    try network.setParameters(
      LayerParameters(
        inputs: inputs + more, units: 20, weights: Array(first.joined()), bias: Array(repeating: 0, count: 20)
      ),
      ofLayer: 0)
    try network.setParameters(
      LayerParameters(inputs: 20, units: 3, weights: Array(second.joined()), bias: [0, 0, 0]), ofLayer: 1)
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: .adam(), options: TrainerOptions(seed: 1))
    for _ in 0..<2 { _ = try trainer.epoch(on: data, batchSize: 8) }
    let weights = try network.parameters(ofLayer: 0).weights
    let rows = (0..<20).map { Array(weights[($0 * (inputs + more))...].prefix(inputs)) }
    return try rows + [network.predict(data.features)]
  }

  /// Rows that lie 4 KB apart are padded, those of one number more are not.
  @Test func `bit by bit, with one input more that is 0`() throws {
    #expect(
      try trained(Float.self, inputs: 1024, more: 0) == trained(Float.self, inputs: 1024, more: 1))
    #expect(
      try trained(Double.self, inputs: 512, more: 0) == trained(Double.self, inputs: 512, more: 1))
  }

  /// A random network of one to three hidden layers, with every activation among its layers and a loss that
  /// fits, after 40 steps.
  func randomlyTrained<Scalar: NetworkScalar>(
    _: Scalar.Type, case index: Int, kernelSet: String
  ) throws -> [Scalar] {
    var random = Random(state: UInt64(index))
    func draw(_ range: ClosedRange<Int>) -> Int {
      range.lowerBound + Int((random.next() + 1) / 2 * Double(range.count))
    }
    let hidden = Activation.allCases.filter { $0 != .softmax }
    let loss = Loss.allCases[index % Loss.allCases.count]
    let output = Activation.allCases.filter(loss.fits)[
      index / 9 % Activation.allCases.filter(loss.fits).count]
    let (inputs, outputs, rows) = (draw(1...70), draw(1...20), draw(20...90))
    var layers = (0..<draw(1...3)).map { _ in
      Layer.dense(Dense(draw(1...70), activation: hidden[draw(0...14)], bias: draw(0...3) > 0))
    }
    layers.append(.dense(Dense(outputs, activation: output)))
    let data = try Dataset(
      features: random.matrix(rows, inputs, scale: 1).map { $0.map { Scalar($0) } },
      targets: random.matrix(rows, outputs, scale: 1).map { row in
        row.map { u in
          switch loss {
          case .hinge: u < 0 ? -1 : 1
          case .poisson: u < 0 ? 0 : (4 * Scalar(u)).rounded(.up)
          default: (1 + Scalar(u)) / 2
          }
        }
      })
    let optimizers: [Optimizer] = [
      .sgd(learningRate: 0.01, momentum: 0.9, nesterov: true, weightDecay: 0.01), .adagrad(),
      .rmsprop(learningRate: 0.001, momentum: 0.5, centered: true), .adam(), .adamw(),
      .adam(amsgrad: true, l1: 0.01), .adadelta(), .adamax(weightDecay: 0.01), .nadam(), .rprop(),
      .lion(l1: 0.01),
    ]
    let network = try Network<Scalar>(inputs: inputs, layers: layers, seed: 1, kernelSet: kernelSet)
    let trainer = try Trainer(network, loss: loss, optimizer: optimizers[index % optimizers.count])
    while trainer.steps < 40 { try trainer.epoch(on: data, batchSize: 1 + index * 7 % 33) }
    return try network.bits
  }

  @Test(arguments: 0..<36)
  func `bit by bit on every kernel set but gsl`(index: Int) throws {
    let sets = Network<Float>.kernelSets.filter { $0 != "gsl" }
    let single = try sets.map { try randomlyTrained(Float.self, case: index, kernelSet: $0) }
    let double = try sets.map { try randomlyTrained(Double.self, case: index, kernelSet: $0) }
    #expect(single.allSatisfy { $0 == single[0] })
    #expect(double.allSatisfy { $0 == double[0] })
  }

  @Test func `and a seed uses all of its 64 bits`() throws {
    let starts = try [1, 1 << 32, 1 << 63].map { seed in
      try Network<Float>(inputs: 3, layers: [.dense(Dense(3))], seed: seed).bits
    }
    #expect(starts[0] != starts[1] && starts[1] != starts[2] && starts[0] != starts[2])
  }

  @Test func `and float32 starts from the rounded float64`() throws {
    let layers: [Layer] = [.dense(Dense(20, activation: .relu)), .dense(Dense(4, activation: .softmax))]
    let wide = try Network<Double>(inputs: 10, layers: layers, seed: 5).bits
    #expect(try Network<Float>(inputs: 10, layers: layers, seed: 5).bits == wide.map { Float($0) })
  }

  @Test func `and a row's prediction does not depend on the rows around it`() throws {
    var random = Random(state: 3)
    for kernelSet in Network<Float>.kernelSets where kernelSet != "gsl" {
      let network = try Network<Float>(
        inputs: 19,
        layers: [.dense(Dense(33, activation: .silu)), .dense(Dense(5, activation: .softmax))],
        seed: 1, kernelSet: kernelSet)
      let rows = random.matrix(600, 19, scale: 2).map { $0.map { Float($0) } }
      let together = try network.predict(rows.flatMap(\.self))
      #expect(try rows.flatMap { try network.predict($0) } == together)
    }
  }
}

@Suite struct `Initialisers draw what they say` {
  /// Mean, standard deviation and largest magnitude of the weights of a layer of 200 inputs and 300 units.
  func statistics(_ initializer: Initializer, activation: Activation = .identity) throws -> (
    mean: Double, deviation: Double, most: Double
  ) {
    let dense = Dense(300, activation: activation, weightsInitializer: initializer)
    let w = try Network<Double>(inputs: 200, layers: [.dense(dense)], seed: 9).parameters(ofLayer: 0).weights
    let mean = w.reduce(0, +) / Double(w.count)
    let variance = w.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(w.count)
    return (mean, variance.squareRoot(), w.map { abs($0) }.max()!)
  }

  struct Expected: Sendable {
    let initializer: Initializer
    let variance: Double
    var isUniform = false
  }

  @Test(arguments: [
    Expected(initializer: .glorotUniform, variance: 0.004, isUniform: true),
    Expected(initializer: .glorotNormal, variance: 0.004),
    Expected(initializer: .heUniform, variance: 0.01, isUniform: true),
    Expected(initializer: .heNormal, variance: 0.01),
    Expected(initializer: .lecunNormal, variance: 0.005),
    Expected(initializer: .uniform(scale: 0.6), variance: 0.12, isUniform: true),
    Expected(initializer: .normal(standardDeviation: 0.3), variance: 0.09),
  ])
  func `in mean, variance and range`(of expected: Expected) throws {
    let (mean, deviation, most) = try statistics(expected.initializer)
    let (variance, isUniform) = (expected.variance, expected.isUniform)
    let sigma = variance.squareRoot()
    #expect(abs(mean) < 4 * sigma / 60_000.0.squareRoot())
    #expect(abs(deviation / sigma - 1) < 0.015)
    // A uniform distribution ends at √3 deviations; 60,000 normal draws reach beyond 3.5.
    #expect(isUniform ? most / sigma < 1.7321 && most / sigma > 1.73 : most / sigma > 3.5)
  }

  @Test func `with zeros, constants, and a default that the activation chooses`() throws {
    #expect(try statistics(.zeros).most == 0)
    #expect(try statistics(.constant(0.25)) == (0.25, 0, 0.25))
    let chosen: [(Activation, Initializer)] = [
      (.relu, .heNormal), (.gelu, .heNormal), (.selu, .lecunNormal), (.tanh, .glorotUniform),
      (.softmax, .glorotUniform),
    ]
    for (activation, initializer) in chosen {
      #expect(
        try statistics(.automatic, activation: activation) == statistics(initializer, activation: activation))
    }
  }
}

@Suite struct `Softmax and sigmoid stay finite` {
  /// One layer with z = (1000, −1000), and what y makes of it.
  @Test(arguments: Target.all)
  func `in both cross-entropies at z = ±1000, which are right there`(target: Target) throws {
    switch target.scalar {
    case .float32: try check(Float.self, target.kernelSet)
    case .float64: try check(Double.self, target.kernelSet)
    }
  }

  func check<Scalar: NetworkScalar>(_: Scalar.Type, _ kernelSet: String) throws {
    typealias Case = (loss: Loss, y: [Scalar], value: Double, delta: [Scalar])
    let cases: [Case] = [
      (.crossEntropy, [1, 0], 0, [0, 0]), (.crossEntropy, [0, 1], 2000, [1, -1]),
      (.crossEntropy, [0.5, 0.5], 1000, [0.5, -0.5]), (.binaryCrossEntropy, [1, 0], 0, [0, 0]),
      (.binaryCrossEntropy, [0, 1], 1000, [0.5, -0.5]),
      (.binaryCrossEntropy, [0.5, 0.5], 500, [0.25, -0.25]),
    ]
    for (loss, y, expected, delta) in cases {
      let output: Activation = loss == .crossEntropy ? .softmax : .sigmoid
      let network = try Network<Scalar>(
        inputs: 1, layers: [.dense(Dense(2, activation: output, bias: false))], kernelSet: kernelSet)
      try network.setParameters(
        LayerParameters(inputs: 1, units: 2, weights: [1000, -1000], bias: nil), ofLayer: 0)
      let trainer = try Trainer(network, loss: loss, options: TrainerOptions(recordsTrace: true))
      let batch = try Dataset<Scalar>(features: [[1]], targets: [y])
      #expect(try trainer.gradients(batch).loss == expected)
      #expect(try trainer.trace()[0].delta == delta)
      #expect(try trainer.trace()[0].weightsGradient == delta)
    }
  }
}
