import Chainrule
import Foundation
import Synchronization
import TestSupport
import Testing

/// Networks with every kind of layer, each kind first and last somewhere.
enum Zoo {
  static let networks: [[Layer]] = [scaled, batches, rows, sums, nested]

  @LayerBuilder static var scaled: [Layer] {
    Scaling(mean: [0.5, -1, 0], deviation: [2, 0.5, 1])
    Dense(5, activation: .tanh)
    BatchNorm()
    Residual {
      LayerNorm()
      Layer.activation(.silu)
      Dense(5)
    }
    Dropout(0.4)
    Dense(3)
  }

  @LayerBuilder static var batches: [Layer] {
    BatchNorm(momentum: 0.3, epsilon: 1e-3)
    Dense(17, activation: .gelu)
    BatchNorm()
    Dense(3)
    Layer.activation(.tanh)
  }

  @LayerBuilder static var rows: [Layer] {
    LayerNorm(epsilon: 1e-2)
    Dense(21, activation: .tanh)
    LayerNorm()
    Dense(3, activation: .tanh)
  }

  @LayerBuilder static var sums: [Layer] {
    Dropout(0.2)
    Dense(3, activation: .mish)
    Layer.residual(span: 2)
    Layer.residual(span: 3)
    Dense(3, activation: .tanh)
    BatchNorm()
  }

  @LayerBuilder static var nested: [Layer] {
    Layer.activation(.softplus)
    Dense(9, activation: .tanh)
    Residual {
      Residual {
        BatchNorm()
        Dense(4, activation: .sigmoid)
        Dense(9)
      }
      Dense(9, activation: .tanh)
    }
    Dense(3)
    Scaling(mean: [0, 1, 2], deviation: [1, 2, 3])
  }

  /// Rows of three features and three targets.
  static func data<Scalar: NetworkScalar>(rows: Int, seed: UInt64 = 5) throws -> Dataset<Scalar> {
    var random = Random(state: seed)
    return try Dataset(
      features: random.matrix(rows, 3, scale: 1.5).map { $0.map { Scalar($0) } },
      targets: random.matrix(rows, 3, scale: 0.8).map { $0.map { Scalar($0) } })
  }
}

extension LayerParameters {
  static var learned: [WritableKeyPath<LayerParameters, [Scalar]?>] {
    [\.bias, \.someWeights, \.gamma, \.beta]
  }
  var someWeights: [Scalar]? {
    get { weights.isEmpty ? nil : weights }
    set { weights = newValue ?? [] }
  }
}

@Suite struct `Every kind of layer` {
  @Test(arguments: Network<Double>.kernelSets, Zoo.networks.indices)
  func `has the slope of the loss for a gradient`(kernelSet: String, index: Int) throws {
    let network = try Network<Double>(inputs: 3, layers: Zoo.networks[index], seed: 2, kernelSet: kernelSet)
    var random = Random(state: 4)
    for l in network.layers.indices {  // γ and β other than 1 and 0
      var parameters = try network.parameters(ofLayer: l)
      parameters.gamma = parameters.gamma.map { $0.map { $0 + 0.3 * random.next() } }
      parameters.beta = parameters.beta.map { $0.map { $0 + 0.3 * random.next() } }
      try network.setParameters(parameters, ofLayer: l)
    }
    let data: Dataset<Double> = try Zoo.data(rows: 11)
    let trainer = try Trainer(
      network, loss: .meanSquaredError, options: TrainerOptions(seed: 3, recordsTrace: true))
    try trainer.gradients(data)
    let traces = try trainer.trace()
    var compared = 0
    for l in network.layers.indices {
      let parameters = try network.parameters(ofLayer: l)
      var slopes: [Double] = []
      for path in LayerParameters<Double>.learned {
        for i in (parameters[keyPath: path] ?? []).indices {
          func L(_ step: Double) throws -> Double {
            var moved = parameters
            moved[keyPath: path]![i] += step
            try network.setParameters(moved, ofLayer: l)
            return try trainer.gradients(data).loss
          }
          let (above, below) = (try L(1e-6), try L(-1e-6))
          slopes.append((above - below) / 2e-6)
        }
      }
      try network.setParameters(parameters, ofLayer: l)
      if slopes.isEmpty { continue }
      #expect(mismatch(traces[l].gradient, slopes, .centralDifferences) == nil, "layer \(l + 1)")
      compared += slopes.count(where: { abs($0) > 1e-4 })
    }
    #expect(compared > 20, "gradients worth comparing")
  }

  @Test(arguments: Network<Double>.kernelSets)
  func `that is a residual block adds its input`(kernelSet: String) throws {
    let block: [Layer] = [.dense(Dense(7, activation: .tanh)), .layerNorm(LayerNorm()), .dense(Dense(3))]
    let alone = try Network<Double>(inputs: 3, layers: block, seed: 2, kernelSet: kernelSet)
    let added = try Network<Double>(
      inputs: 3, layers: block + [.residual(span: 3)], seed: 2, kernelSet: kernelSet)
    let data: Dataset<Double> = try Zoo.data(rows: 11)
    let sums = zip(data.features, try alone.predict(data)).map { $0 + $1 }
    #expect(try added.predict(data) == sums)
  }

  func trained<Scalar: NetworkScalar>(
    _: Scalar.Type, _ index: Int, _ kernelSet: String, threads: Int = 1, tracing: Bool = false
  ) throws -> [Scalar] {
    let network = try Network<Scalar>(inputs: 3, layers: Zoo.networks[index], seed: 2, kernelSet: kernelSet)
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: .adam(learningRate: 0.01),
      options: TrainerOptions(seed: 3, threads: threads, recordsTrace: tracing))
    let data: Dataset<Scalar> = try Zoo.data(rows: 61)
    for _ in 0..<4 { try trainer.epoch(on: data, batchSize: 20) }  // the last batch has one row
    return try network.bits
  }

  @Test(arguments: Zoo.networks.indices)
  func `comes to the same bits on every kernel set but gsl`(index: Int) throws {
    let sets = Network<Float>.kernelSets.filter { $0 != "gsl" }
    let single = try sets.map { try trained(Float.self, index, $0) }
    let double = try sets.map { try trained(Double.self, index, $0, tracing: $0 == "baseline") }
    #expect(single.allSatisfy { $0 == single[0] })
    #expect(double.allSatisfy { $0 == double[0] })
    let isFinite = single[0].allSatisfy { $0.isFinite }
    #expect(isFinite)
  }

  @Test(arguments: Zoo.networks.indices)
  func `predicts a row without regard to the others`(index: Int) throws {
    for kernelSet in Network<Float>.kernelSets where kernelSet != "gsl" {
      let network = try Network<Float>(inputs: 3, layers: Zoo.networks[index], seed: 2, kernelSet: kernelSet)
      let data: Dataset<Float> = try Zoo.data(rows: 300)
      try Trainer(network, loss: .meanSquaredError).epoch(on: data)
      let together = try network.predict(data.features)
      let alone = try (0..<300).flatMap { try network.predict(Array(data.features[$0 * 3..<$0 * 3 + 3])) }
      #expect(together == alone)
    }
  }

  /// Prediction plans its memory anew, and with less of it.
  @Test(arguments: Network<Double>.kernelSets)
  func `predicts what a step computes, where nothing is dropped`(kernelSet: String) throws {
    let network = try Network<Double>(
      inputs: 3,
      layers: [
        .dropout(Dropout(0)), .dense(Dense(5, activation: .tanh)), .dropout(Dropout(0)), .dropout(Dropout(0)),
        .activation(.silu), .layerNorm(LayerNorm()), .residual(span: 2), .dropout(Dropout(0)),
        .residual(span: 4), .dense(Dense(3)), .residual(span: 9), .residual(span: 11),
      ], seed: 2, kernelSet: kernelSet)
    let data: Dataset<Double> = try Zoo.data(rows: 11)
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
    try trainer.gradients(data)
    #expect(try network.predict(data.features) == trainer.trace().last!.a)
  }

  @Test(arguments: Zoo.networks.indices)
  func `comes back from a file`(index: Int) throws {
    let network = try Network<Double>(inputs: 3, layers: Zoo.networks[index], seed: 2)
    let data: Dataset<Double> = try Zoo.data(rows: 40)
    try Trainer(network, loss: .meanSquaredError).epoch(on: data)
    let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Model(network).save(to: path)
    let model = try Model<Double>(contentsOf: path)
    #expect(model.layers == network.layers)
    #expect(try model.predict(data.features) == network.predict(data.features))
    #expect(try Network(model).bits == network.bits)
  }
}

@Suite struct `A model that is folded` {
  @Test(arguments: Zoo.networks.indices)
  func `predicts as it did, from fewer layers`(index: Int) throws {
    let network = try Network<Double>(inputs: 3, layers: Zoo.networks[index], seed: 2)
    let data: Dataset<Double> = try Zoo.data(rows: 40)
    let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
    for _ in 0..<5 { try trainer.epoch(on: data, batchSize: 10) }
    let model = try Model(network)
    let folded = try model.folded()
    let left = folded.layers.filter { $0.name == "batchNorm" || $0.name == "dropout" }
    // In `scaled` a sum adds what would be folded; in `sums` it stands behind an activation, and last.
    #expect(left.map(\.name) == ([0, 3].contains(index) ? ["batchNorm"] : []))
    let (before, after) = (try model.predict(data.features), try folded.predict(data.features))
    #expect(mismatch(after, before, .float64) == nil)
    #expect(try Model<Float>(model).folded().layers.count == folded.layers.count)
  }
}

@Suite struct `A batchNorm` {
  @Test func `follows its batches, and predicts with what it has seen`() throws {
    let network = try Network<Double>(inputs: 1, layers: [.batchNorm(BatchNorm(momentum: 0.25))])
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0),
      options: TrainerOptions(recordsTrace: true))
    let batch = try Dataset<Double>(features: [[1], [2], [6]], targets: [[0], [0], [0]])
    try trainer.gradients(batch)
    #expect(try network.parameters(ofLayer: 0).mean == [0], "gradients alone change nothing")
    try trainer.step(batch)
    let parameters = try network.parameters(ofLayer: 0)
    #expect(parameters.mean == [0.75])
    #expect(parameters.variance == [2.5])  // ¾ · 1 + ¼ (4 + 1 + 9) / 2
    let expected = (2 - 0.75) / (2.5 + 1e-5).squareRoot()
    let found = try network.predict([2])[0]
    #expect(abs(found - expected) < 1e-15)
  }

  @Test func `learns nothing from the variance of one row`() throws {
    let network = try Network<Float>(inputs: 2, layers: [.batchNorm(BatchNorm())])
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
    try trainer.step(try Dataset(features: [[3, 4]], targets: [[0, 1]]))
    #expect(try trainer.trace()[0].z == [0, 0])
    #expect(try network.parameters(ofLayer: 0).mean == [0, 0])
    #expect(try network.parameters(ofLayer: 0).variance == [1, 1])
  }
}

@Suite struct `A dropout` {
  /// The share of zeros, and the values of the others.
  func dropped(_ rate: Double, seed: UInt64, steps: Int = 1) throws -> (a: [[Float]], prediction: [Float]) {
    let network = try Network<Float>(inputs: 100, layers: [.dropout(Dropout(rate))])
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0),
      options: TrainerOptions(seed: seed, recordsTrace: true))
    let data = try Dataset<Float>(
      features: [Float](repeating: 1, count: 40_000), targets: [Float](repeating: 0, count: 40_000),
      rows: 400,
      inputs: 100, outputs: 100)
    let a = try (0..<steps).map { _ in
      try trainer.step(data)
      return try trainer.trace()[0].a
    }
    return (a, try network.predict([Float](repeating: 1, count: 100)))
  }

  @Test(arguments: [0, 0.1, 0.5, 0.9])
  func `drops at its rate, and keeps the mean`(rate: Double) throws {
    let (a, prediction) = try dropped(rate, seed: 1)
    func isExpected(_ zeros: Int, of count: Double) -> Bool {
      abs(Double(zeros) - count * rate) <= 4.5 * (count * rate * (1 - rate)).squareRoot()
    }
    #expect(isExpected(a[0].count(where: { $0 == 0 }), of: 40_000))
    #expect(a[0].allSatisfy { $0 == 0 || $0 == Float(1 / (1 - rate)) })
    #expect(prediction.allSatisfy { $0 == 1 }, "in prediction it does nothing")
    for column in [0, 37, 99] {
      let zeros = stride(from: column, to: 40_000, by: 100).count(where: { a[0][$0] == 0 })
      #expect(isExpected(zeros, of: 400), "column \(column)")
    }
  }

  @Test func `drops others in every step, row, layer and seed`() throws {
    let one = try dropped(0.5, seed: 1, steps: 3).a
    #expect(one[0] != one[1] && one[1] != one[2])
    #expect(try dropped(0.5, seed: 2).a[0] != one[0])
    #expect(try dropped(0.5, seed: 1).a[0] == one[0])
    let rows = (0..<400).map { row in Array(one[0][row * 100..<row * 100 + 100]) }
    #expect(Set(rows).count == 400)
    // Neighbours agree as often as coins do.
    let isDropped = one[0].map { $0 == 0 }
    let agree = zip(isDropped, isDropped.dropFirst()).count(where: ==)
    #expect(abs(Double(agree) - 20_000) < 400)
  }
}

@Suite struct `A layer is refused` {
  static let bad: [(Layer, String)] = [
    (.dropout(Dropout(1)), "layer 2, dropout: rate must be 0 or more, and less than 1; got 1"),
    (.dropout(Dropout(-0.1)), "layer 2, dropout: rate must be 0 or more, and less than 1; got -0.1"),
    (.dropout(Dropout(.nan)), "layer 2, dropout: rate must be 0 or more, and less than 1; got NaN"),
    (
      .batchNorm(BatchNorm(momentum: 0)), "layer 2, batchNorm: momentum must be above 0, and at most 1; got 0"
    ),
    (
      .batchNorm(BatchNorm(momentum: 1.5)),
      "layer 2, batchNorm: momentum must be above 0, and at most 1; got 1.5"
    ),
    (.batchNorm(BatchNorm(epsilon: 0)), "layer 2, batchNorm: epsilon must be a finite number above 0; got 0"),
    (
      .layerNorm(LayerNorm(epsilon: .infinity)),
      "layer 2, layerNorm: epsilon must be a finite number above 0; got infinity"
    ),
    (.activation(.softmax), "layer 2 is softmax, which only the last layer (3) may be"),
    (
      .scaling(Scaling(mean: [1], deviation: [1])),
      "layer 2, scaling: 1 units; expected 4, one for each of its inputs, or 0"
    ),
    (.residual(span: 0), "layer 2, residual: span is 0; expected 1 to 1, the layers before it"),
    (.residual(span: 2), "layer 2, residual: span is 2; expected 1 to 1, the layers before it"),
    (
      .residual(span: 1),
      "layer 2, residual: its block of 1 layers has 3 inputs and 4 outputs; expected the same number"
    ),
  ]

  @Test(arguments: bad.indices)
  func `where its numbers make no sense`(index: Int) throws {
    let (layer, message) = Self.bad[index]
    let error = #expect(throws: ChainruleError.self) {
      try Network<Float>(inputs: 3, layers: [.dense(Dense(4)), layer, .dense(Dense(2))])
    }
    #expect("\(try #require(error))".contains(message), "\(error!)")
  }

  @Test func `where a scaling's deviation is not above 0`() throws {
    #expect(throws: ChainruleError.self) {
      try Network<Float>(
        inputs: 2, layers: [.scaling(Scaling(mean: [1, 2], deviation: [1, 0])), .dense(Dense(1))])
    }
    #expect(throws: ChainruleError.self) {
      try Network<Float>(
        inputs: 2, layers: [.scaling(Scaling(mean: [1, 2], deviation: [1])), .dense(Dense(1))])
    }
  }

  @Test func `where a loss wants another output`() throws {
    let layers: [Layer] = [.dense(Dense(3)), .dropout(Dropout(0.5)), .activation(.softmax)]
    let network = try Network<Float>(inputs: 2, layers: layers)
    #expect(throws: Never.self) { try Trainer(network, loss: .crossEntropy) }
    let other = try Network<Float>(inputs: 2, layers: layers.dropLast())
    #expect(throws: ChainruleError.self) { try Trainer(other, loss: .crossEntropy) }
  }
}

@Suite struct `An activation of one's own` {
  static let softsquare = CustomActivation(
    "softsquare", function: { $0.map { $0 * $0 / (1 + $0 * $0) } },
    derivative: { $0.map { 2 * $0 / ((1 + $0 * $0) * (1 + $0 * $0)) } })
  static let hyperbolic = CustomActivation(
    "tanh", function: { $0.map { Foundation.tanh($0) } },
    derivative: { $0.map { 1 - Foundation.tanh($0) * Foundation.tanh($0) } })

  @Test(arguments: [1, 2])
  func `trains as the built-in one does`(threads: Int) throws {
    func trained(_ layer: Layer) throws -> [Double] {
      let network = try Network<Double>(
        inputs: 3, layers: [.dense(Dense(17)), layer, .dense(Dense(3)), layer], seed: 1)
      let trainer = try Trainer(
        network, loss: .meanSquaredError, options: TrainerOptions(seed: 2, threads: threads))
      for _ in 0..<5 { try trainer.epoch(on: Zoo.data(rows: 40), batchSize: 8) }
      return try network.bits + network.predict([1, 2, 3])
    }
    let (own, builtIn) = (try trained(.custom(Self.hyperbolic)), try trained(.activation(.tanh)))
    #expect(mismatch(own, builtIn, .float64) == nil)
  }

  @Test func `is called once a batch, and lives as long as a model needs it`() throws {
    let calls = Mutex(0)
    let network: Network<Float>
    do {
      let counted = CustomActivation(
        "counted",
        function: { z in
          calls.withLock { $0 += 1 }
          return z.map { $0 * $0 }
        }, derivative: { $0.map { 2 * $0 } })
      network = try Network<Float>(inputs: 3, seed: 1) {
        Dense(40)
        counted
        Dense(3)
      }
    }
    try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(threads: 2)).step(
      Zoo.data(rows: 200))
    #expect(calls.withLock { $0 } == 1)
    let model = try Model(network).folded()
    #expect(try model.predict([1, 2, 3]) == network.predict([1, 2, 3]))
    #expect(model.layers[1].description == "counted" && model.layers == network.layers)
    #expect(throws: ChainruleError.self) { try model.save(to: "/tmp/never.safetensors") }
  }

  @Test func `has the slope of the loss for a gradient`() throws {
    let network = try Network<Double>(
      inputs: 3, layers: [.dense(Dense(4)), .custom(Self.softsquare), .dense(Dense(3))])
    #expect(try network.gradientCheck(on: Zoo.data(rows: 9), loss: .meanSquaredError).largestError < 1e-5)
  }
}
