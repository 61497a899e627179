import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Chainrule

/// Random rows of `inputs` features and two targets.
private func randomData(rows: Int, inputs: Int = 3) throws -> Dataset<Double> {
  var random = Random(state: 17)
  return try Dataset(
    features: random.matrix(rows, inputs, scale: 1), targets: random.matrix(rows, 2, scale: 1))
}

private func smallNetwork(inputs: Int = 3) throws -> Network<Double> {
  try Network(inputs: inputs, seed: 5) {
    Dense(4, activation: .tanh)
    Dense(2)
  }
}

/// All epochs of a run.
private func reports<Scalar>(of epochs: Epochs<Scalar>) async throws -> [Epoch] {
  var reports: [Epoch] = []
  for try await epoch in epochs { reports.append(epoch) }
  return reports
}

@Suite struct `Training epochs` {
  @Test func `are counted on by a second call, which finds the optimizer's state`() async throws {
    let data = try randomData(rows: 23)
    let (once, twice) = (try smallNetwork(), try smallNetwork())
    let trainer = try Trainer(once, loss: .meanSquaredError, options: TrainerOptions(seed: 2))
    let ten = try await reports(of: trainer.epochs(10, on: data, batchSize: 4))
    #expect(ten.map(\.number) == Array(1...10))
    #expect((trainer.completedEpochs, trainer.steps) == (10, 60))
    #expect(ten.allSatisfy { $0.learningRate == 0.001 && $0.validation == nil && $0.seconds > 0 })

    let second = try Trainer(twice, loss: .meanSquaredError, options: TrainerOptions(seed: 2))
    let five = try await reports(of: second.epochs(5, on: data, batchSize: 4))
    let more = try await reports(of: second.epochs(5, on: data, batchSize: 4))
    #expect(more.map(\.number) == Array(6...10))
    #expect((five + more).map(\.loss) == ten.map(\.loss))
    #expect(try twice.bits == once.bits)
  }

  @Test func `are the same whether awaited or not`() async throws {
    let data = try randomData(rows: 23)
    let (awaited, called) = (try smallNetwork(), try smallNetwork())
    let losses = try await reports(
      of: try Trainer(awaited, loss: .meanSquaredError).epochs(3, on: data, batchSize: 4))
    let trainer = try Trainer(called, loss: .meanSquaredError)
    for epoch in losses { #expect(try trainer.epoch(on: data, batchSize: 4) == epoch.loss) }
    #expect(try awaited.bits == called.bits)
  }

  @Test func `in order are steps by hand, the last with the rows that are left`() async throws {
    let data = try randomData(rows: 10).withSampleWeights([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    let (network, byHand) = (try smallNetwork(), try smallNetwork())
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(shuffle: false))
    let epochs = try await reports(of: trainer.epochs(2, on: data, batchSize: 4))
    #expect(trainer.steps == 6)

    let hand = try Trainer(byHand, loss: .meanSquaredError)
    for epoch in epochs {
      var (sum, total) = (0.0, 0.0)
      for rows in [0..<4, 4..<8, 8..<10] {
        let weight = data.sampleWeights![rows].reduce(0, +)
        sum += try hand.step(data[rows: rows]) * weight
        total += weight
      }
      #expect(epoch.loss == sum / total)
    }
    #expect(try network.bits == byHand.bits)
  }

  @Test(arguments: [10, 11, 1000])
  func `of batches with room for all rows are single steps`(batchSize: Int) async throws {
    let data = try randomData(rows: 10)
    let (network, byHand) = (try smallNetwork(), try smallNetwork())
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(shuffle: false))
    let losses = try await reports(of: trainer.epochs(3, on: data, batchSize: batchSize)).map(\.loss)
    let hand = try Trainer(byHand, loss: .meanSquaredError)
    #expect(try losses == (0..<3).map { _ in try hand.step(data) })
    #expect(trainer.steps == 3)
    #expect(try network.bits == byHand.bits)
  }

  @Test func `visit every row once, in a new order each`() throws {
    // With W = 0, η = 0 and one row a batch the gradient of step k is that of the k-th row visited; here the
    // loss of a batch of one tells which row it was.
    let data = try Dataset<Double>(
      features: (0..<8).map { _ in [0] }, targets: (0..<8).map { [Double(1 << $0)] })
    func weightAfterAnEpoch(_ trainer: Trainer<Double>) throws -> Double {
      try trainer.epoch(on: data, batchSize: 1)
      return try trainer.network.parameters(ofLayer: 0).bias![0]
    }
    // b ← b − ½ (b − y) a step: the bits of the last rows weigh most, so that b tells the order.
    func order(seed: UInt64, epochs: Int) throws -> [Double] {
      try (1...epochs).map { count in
        let network = try Network<Double>(inputs: 1) { Dense(1, weightsInitializer: .zeros) }
        let trainer = try Trainer(
          network, loss: .halfSquaredError, optimizer: .sgd(learningRate: 0.5),
          options: TrainerOptions(seed: seed))
        for _ in 1..<count { try trainer.epoch(on: data, batchSize: 8) }
        try network.setParameters(
          LayerParameters(inputs: 1, units: 1, weights: [0], bias: [0]), ofLayer: 0)
        return try weightAfterAnEpoch(trainer)
      }
    }
    let orders = try order(seed: 1, epochs: 4)
    #expect(Set(orders).count == 4, "a new order each epoch")
    #expect(try order(seed: 1, epochs: 4) == orders)
    #expect(try order(seed: 2, epochs: 1) != [orders[0]])

    let sum = try Network<Double>(inputs: 1) { Dense(1, weightsInitializer: .zeros) }
    let trainer = try Trainer(sum, loss: .halfSquaredError, optimizer: .sgd(learningRate: 0))
    // η = 0: the mean of ½ y² over all rows, each once
    #expect(try trainer.epoch(on: data, batchSize: 3) == data.targets.map { $0 * $0 / 2 }.reduce(0, +) / 8)
  }

  @Test func `are validated as they end`() async throws {
    let (train, test) = try randomData(rows: 40).split(holdingOut: 0.25, seed: 1)
    let network = try smallNetwork()
    let trainer = try Trainer(network, loss: .huber)
    for try await epoch in trainer.epochs(3, on: train, batchSize: 8, validating: test) {
      #expect(try epoch.validation == network.evaluate(test, loss: .huber))
      #expect(epoch.description.hasPrefix("epoch \(epoch.number): loss "))
      #expect(epoch.description.contains(", validation: loss "))
    }
  }

  @Test func `end with the first whose loss is below the bound`() async throws {
    let network = try Network<Double>(inputs: 2, seed: 1) {
      Dense(8, activation: .tanh)
      Dense(1, activation: .sigmoid)
    }
    let trainer = try Trainer(network, loss: .binaryCrossEntropy, optimizer: .adam(learningRate: 0.05))
    let losses = try await reports(
      of: trainer.epochs(5000, on: .xor, batchSize: 4, until: .loss(below: 0.1))
    ).map(\.loss)
    #expect(try #require(losses.last) < 0.1)
    #expect(losses.dropLast().allSatisfy { $0 >= 0.1 })
    #expect(trainer.completedEpochs == losses.count && losses.count < 5000)
  }

  /// y = w x, from w = 0: η takes w to 10, the validation wants 3.
  private func overshooting() throws -> (
    trainer: Trainer<Double>, train: Dataset<Double>, validation: Dataset<Double>
  ) {
    let network = try Network<Double>(inputs: 1) { Dense(1, bias: false, weightsInitializer: .zeros) }
    return (
      try Trainer(network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.02)),
      try Dataset(features: [[1]], targets: [[10]]), try Dataset(features: [[1]], targets: [[3]])
    )
  }

  @Test(arguments: [1, 3])
  func `end when patience does, and take the best parameters back`(patience: Int) async throws {
    let (trainer, train, validation) = try overshooting()
    var (losses, weights): ([Double], [Double]) = ([], [])
    for try await epoch in trainer.epochs(1000, on: train, validating: validation, patience: patience) {
      losses.append(try #require(epoch.validation).loss)
      weights += try trainer.network.bits
    }
    let best = try #require(losses.indices.min { losses[$0] < losses[$1] })
    #expect(best > 3)
    #expect(losses.count == best + 1 + patience)
    #expect(try trainer.network.bits == [weights[best]])
    #expect(weights[best] != weights.last)
  }

  @Test func `take the best parameters back too where they end before patience does`() async throws {
    let (trainer, train, validation) = try overshooting()
    let reports = try await reports(of: trainer.epochs(20, on: train, validating: validation, patience: 100))
    let losses = reports.map { $0.validation!.loss }
    #expect(reports.count == 20 && losses.last! > losses.min()!)
    #expect(try trainer.network.evaluate(validation).loss == losses.min())
  }

  @Test func `without a validation set have patience with the training loss`() async throws {
    // η = 0.5 steps to and fro around 0 with a loss that grows: (1 − η · 2 · 2.25) = −1.25 a step
    let network = try Network<Double>(inputs: 1) { Dense(1, bias: false, weightsInitializer: .constant(1)) }
    let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.5))
    let data = try Dataset<Double>(features: [[1.5]], targets: [[0]])
    let losses = try await reports(of: trainer.epochs(100, on: data, patience: 4)).map(\.loss)
    #expect(losses.count == 5 && losses == losses.sorted())
    #expect(try network.bits == [-1.25])  // after the first epoch
  }

  @Test func `may be none, and not fewer`() async throws {
    let network = try smallNetwork()
    let before = try network.bits
    let data = try randomData(rows: 4)
    let trainer = try Trainer(network, loss: .meanSquaredError)
    #expect(try await reports(of: trainer.epochs(0, on: data)).isEmpty)
    #expect(try network.bits == before)
    await #expect {
      try await reports(of: trainer.epochs(-3, on: data))
    } throws: {
      "\($0)" == "the number of epochs is -3; expected at least 0" && $0.localizedDescription == "\($0)"
    }
  }

  @Test func `give the network the names of the data, where it has none`() async throws {
    let data = try Dataset<Float>.iris
    for isByEpoch in [true, false] {
      let network = try Network<Float>(inputs: 4, seed: 1) { Dense(3, activation: .softmax) }
      let trainer = try Trainer(network, loss: .crossEntropy)
      if isByEpoch {
        try trainer.epoch(on: data)
      } else {
        for try await _ in trainer.epochs(1, on: data) {}
      }
      let model = try Model(network)
      #expect(model.classLabels == data.classLabels && model.featureNames == data.featureNames)
      // Its own names stay.
      let renamed = try Dataset<Float>(
        features: data.features, targets: data.targets, rows: data.rows, inputs: 4, outputs: 3,
        featureNames: ["a", "b", "c", "d"])
      try trainer.epoch(on: renamed)
      #expect(try Model(network).featureNames == data.featureNames)
    }
  }
}

@Suite struct `A step` {
  @Test func `weighs a row of weight 2 as the row twice, and one of weight 0 as none`() throws {
    let data = try randomData(rows: 4)
    let weighted = try data.withSampleWeights([1, 2, 0, 1])
    let rows = [0, 1, 1, 3]
    let repeated = try Dataset<Double>(
      features: rows.map { Array(data[row: $0].features) }, targets: rows.map { Array(data[row: $0].targets) }
    )
    for loss in [Loss.meanSquaredError, .halfSquaredError, .huber, .logCosh] {
      let (one, other) = (try smallNetwork(), try smallNetwork())
      let (left, right) = (
        try Trainer(
          one, loss: loss, optimizer: .sgd(learningRate: 0.5), options: TrainerOptions(recordsTrace: true)),
        try Trainer(
          other, loss: loss, optimizer: .sgd(learningRate: 0.5), options: TrainerOptions(recordsTrace: true))
      )
      let losses = (try left.step(weighted), try right.step(repeated))
      #expect(mismatch([losses.0], [losses.1], .float64) == nil)
      for (a, b) in zip(try left.trace(), try right.trace()) {
        #expect(mismatch(a.weightsGradient, b.weightsGradient, .float64) == nil)
        #expect(mismatch(a.biasGradient!, b.biasGradient!, .float64) == nil)
      }
      #expect(mismatch(try one.bits, try other.bits, .float64) == nil)
      let evaluated = (
        try one.evaluate(weighted, loss: loss).loss, try one.evaluate(repeated, loss: loss).loss
      )
      #expect(mismatch([evaluated.0], [evaluated.1], .float64) == nil)
    }
  }

  @Test func `returns the loss before its update, and gradients change nothing`() throws {
    let data = try randomData(rows: 6)
    let network = try smallNetwork()
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
    let (before, bits) = (try network.evaluate(data).loss, try network.bits)
    #expect(try trainer.gradients(data).loss == before)
    #expect(try network.bits == bits && trainer.steps == 0)
    #expect(try trainer.step(data) == before)
    #expect(try network.bits != bits && trainer.steps == 1 && trainer.completedEpochs == 0)
  }

  @Test func `leaves a trace where asked to, of its own rows`() throws {
    let network = try smallNetwork()
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
    let reason =
      "there is nothing to view: no step has been done, or a function that the last one called failed"
    #expect(throws: ChainruleError.invalidArgument(message: reason)) { try trainer.trace() }
    for rows in [5, 2, 7] {
      let data = try randomData(rows: rows)
      let outputs = try network.predict(data.features)
      try trainer.step(data)
      let trace = try trainer.trace()
      #expect(trace.map(\.rows) == [rows, rows])
      #expect(trace.map(\.inputs) == [3, 4] && trace.map(\.units) == [4, 2])
      #expect(trace[1].a == outputs)
      #expect(trace[0].delta.count == rows * 4 && trace[0].weightsGradient.count == 12)
    }
    let untraced = try Trainer(network, loss: .meanSquaredError)
    try untraced.step(randomData(rows: 2))
    #expect(
      throws: ChainruleError.invalidArgument(
        message: "the trainer was made without keep, so that no view is left")
    ) { try untraced.trace() }
  }
}

@Suite struct `Training in threads` {
  /// The parameters after epochs and a step, of a network that has work for several threads and of a tiny
  /// one.
  private func bits<Scalar: NetworkScalar>(_: Scalar.Type, units: Int, threads: Int) throws -> [Scalar] {
    var random = Random(state: 29)
    let (x, y) = (random.matrix(150, 24, scale: 1), random.matrix(150, 10, scale: 1))
    let data = try Dataset<Scalar>(
      features: x.map { $0.map { Scalar($0) } }, targets: y.map { $0.map { Scalar($0) } })
    let network = try Network<Scalar>(inputs: 24, seed: 4) {
      Dense(units, activation: .relu)
      Dense(units, activation: .tanh)
      Dense(10)
    }
    let trainer = try Trainer(
      network, loss: .meanSquaredError, options: TrainerOptions(seed: 6, threads: threads))
    for batchSize in [64, 7] { try trainer.epoch(on: data, batchSize: batchSize) }
    try trainer.step(data)
    return try network.bits
  }

  @Test(arguments: [2, 3, 7], [3, 200])
  func `comes to the same bits in any number of them`(threads: Int, units: Int) throws {
    #expect(
      try bits(Float.self, units: units, threads: threads) == bits(Float.self, units: units, threads: 1))
    #expect(
      try bits(Double.self, units: units, threads: threads) == bits(Double.self, units: units, threads: 1))
  }
}

@Suite struct `Denormal numbers` {
  /// w after a step on y = w x of −½ w, from w = 2⁻ᵏ, and whether a denormal number is one again behind it.
  private func step<Scalar: NetworkScalar>(
    from w: Scalar, _ denormals: Denormals, threads: Int
  ) throws -> (w: Scalar, isRestored: Bool) {
    let network = try Network<Scalar>(inputs: 1) { Dense(1, bias: false) }
    try network.setParameters(
      LayerParameters(inputs: 1, units: 1, weights: [w], bias: nil), ofLayer: 0)
    let trainer = try Trainer(
      network, loss: .halfSquaredError, optimizer: .sgd(learningRate: 0.5),
      options: TrainerOptions(threads: threads, denormals: denormals))
    try trainer.step(try Dataset(features: [[1]], targets: [[0]]))
    let half = Scalar(trainer.steps) / 2  // not known to the compiler
    return (try network.bits[0], Scalar.leastNormalMagnitude * half != 0)
  }

  @Test(arguments: [1, 2]) func `are kept unless they are to be flushed`(threads: Int) throws {
    let (small, tiny) = (0x1p-140 as Float, 0x1p-1060)
    #expect(try step(from: small, .keep, threads: threads) == (small / 2, true))
    #expect(try step(from: tiny, .keep, threads: threads) == (tiny / 2, true))
    #expect(try step(from: small, .flush, threads: threads) == (0, true))
    #expect(try step(from: tiny, .flush, threads: threads) == (0, true))
    #expect(try step(from: 1 as Float, .flush, threads: threads) == (0.5, true))
  }
}

@Suite struct `Training is refused` {
  @Test(arguments: [0, -1, 257, Int.max, Int.min])
  func `in no threads, and in more than 256`(threads: Int) throws {
    let network = try smallNetwork()
    #expect(
      throws: ChainruleError.invalidArgument(message: "threads is \(threads); expected 1 to 256")
    ) { try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(threads: threads)) }
  }

  @Test(arguments: [0, -1, Int.min])
  func `with a batch size or a patience below 1`(value: Int) async throws {
    let data = try randomData(rows: 4)
    let network = try smallNetwork()
    let before = try network.bits
    let trainer = try Trainer(network, loss: .meanSquaredError)
    await #expect(
      throws: ChainruleError.invalidValue(name: "batchSize", value: "\(value)", expected: "at least 1")
    ) { try await reports(of: trainer.epochs(1, on: data, batchSize: value)) }
    await #expect(
      throws: ChainruleError.invalidValue(name: "patience", value: "\(value)", expected: "at least 1")
    ) { try await reports(of: trainer.epochs(1, on: data, patience: value)) }
    #expect(
      throws: ChainruleError.invalidValue(name: "batchSize", value: "\(value)", expected: "at least 1")
    ) { try trainer.epoch(on: data, batchSize: value) }
    #expect(try network.bits == before && trainer.steps == 0)
  }

  @Test func `with a loss that does not fit the output layer`() throws {
    let network = try smallNetwork()
    #expect(
      throws: ChainruleError.invalidNetwork(
        layer: 2, reason: "crossEntropy needs a softmax output layer; layer 2 is identity")
    ) { try Trainer(network, loss: .crossEntropy) }
    #expect(
      throws: ChainruleError.invalidNetwork(
        layer: 2, reason: "poisson needs outputs above 0 (softplus, sigmoid or softmax); layer 2 is identity")
    ) { try Trainer(network, loss: .poisson) }
    #expect(throws: ChainruleError.self) { try network.evaluate(randomData(rows: 2), loss: .crossEntropy) }
  }

  @Test func `with a validation set of another shape`() async throws {
    let network = try smallNetwork()
    let (data, other) = (try randomData(rows: 4), try randomData(rows: 4, inputs: 2))
    await #expect(throws: ChainruleError.shapeMismatch(what: "the data's features", expected: 3, actual: 2)) {
      try await reports(
        of: Trainer(network, loss: .meanSquaredError).epochs(1, on: data, validating: other))
    }
  }

  /// What `body` throws, which must be `.notFinite`.
  private func divergence(
    _ body: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> (quantity: String, layer: Int?, step: Int?, message: String) {
    let error = await #expect(throws: ChainruleError.self, sourceLocation: sourceLocation) {
      try await body()
    }
    guard case .notFinite(let quantity, let layer, let step, let message) = error else {
      throw try #require(error, sourceLocation: sourceLocation)
    }
    #expect("\(error!)" == message, sourceLocation: sourceLocation)
    return (quantity, layer, step, message)
  }

  @Test func `once a sum has overflowed, and says in which layer and step`() async throws {
    // After the first step W¹ and W² are some 1e30, after the second W² is beyond Float.
    let network = try Network<Float>(inputs: 2, seed: 1) {
      Dense(3)
      Dense(1)
    }
    let data = try Dataset<Float>(features: [[1, 2], [3, 4]], targets: [[5], [6]])
    let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 1e30))
    let found = try await divergence {
      for try await _ in trainer.epochs(10, on: data, batchSize: 1) {}
    }
    #expect(found.quantity == "z" && found.layer == 2 && found.step == 1)
    #expect(
      found.message.hasPrefix("layer 2, z: not finite at step 2; the learning rate, 1e+30, is probably"))
  }

  @Test func `once a parameter has overflowed, and says which, and after which step`() async throws {
    let network = try Network<Float>(inputs: 1) { Dense(1, weightsInitializer: .constant(1)) }
    let data = try Dataset<Float>(features: [[1e4]], targets: [[0]])
    let trainer = try Trainer(network, loss: .halfSquaredError, optimizer: .sgd(learningRate: 1e37))
    let found = try await divergence { try trainer.step(data) }
    #expect(found.quantity == "weights" && found.layer == 1 && found.step == 1)
    #expect(found.message.hasPrefix("layer 1, weights: -infinity after step 1; the learning rate, 1e+37, is"))
    // The next step says the same: the network is lost.
    #expect(try await divergence { try trainer.step(data) }.message == found.message)
  }

  @Test func `once the loss has overflowed, and says at which step`() async throws {
    let network = try Network<Double>(inputs: 1) { Dense(1, weightsInitializer: .constant(1)) }
    let trainer = try Trainer(network, loss: .meanSquaredError)
    let fine = try Dataset<Double>(features: [[1]], targets: [[0]])
    for _ in 0..<3 { try trainer.step(fine) }
    let found = try await divergence {
      try trainer.step(Dataset<Double>(features: [[1e200]], targets: [[0]]))
    }
    #expect(
      found == ("the loss", nil, 3, "the loss: infinity at step 4; inputs as large as 1e+200 need scaling"))
    #expect(throws: Never.self) { try trainer.step(fine) }
  }
}

// MARK: - Ownership

/// Owns a network and its trainer, as an app's model does.
private actor Owner {
  static let rows = 4000
  static let batchSize = 4
  static let batches = rows / batchSize

  private let network: Network<Double>
  private let trainer: Trainer<Double>
  private let data: Dataset<Double>
  private(set) var reports: [Epoch] = []
  private var isTraining = false

  init(shuffles: Bool = true) throws {
    data = try randomData(rows: Self.rows)
    network = try smallNetwork()
    trainer = try Trainer(
      network, loss: .meanSquaredError,
      options: TrainerOptions(seed: 3, shuffle: shuffles, recordsTrace: true))
  }

  var steps: Int { trainer.steps }
  var epochs: Int { trainer.completedEpochs }
  var bits: [Double] { get throws { try network.bits } }

  func train(_ count: Int, batchSize: Int = batchSize, rows: Int = rows) async throws {
    isTraining = true
    defer { isTraining = false }
    let data = rows == self.data.rows ? data : data[rows: 0..<rows]
    for try await epoch in trainer.epochs(count, on: data, batchSize: batchSize) { reports.append(epoch) }
  }

  /// The parameters after so many steps by hand, in order.
  func bitsByHand(steps: Int) throws -> [Double] {
    let network = try smallNetwork()
    let trainer = try Trainer(network, loss: .meanSquaredError)
    for step in 0..<steps {
      let start = step % Self.batches * Self.batchSize
      try trainer.step(data[rows: start..<start + Self.batchSize])
    }
    return try network.bits
  }

  /// What every call on the network and the trainer throws while training is awaited; nil where it is not.
  func errorsOfAllCalls() async -> [String: ChainruleError?]? {
    guard isTraining else { return nil }
    let (network, trainer, batch) = (network, trainer, data[rows: 0..<4])
    func error(_ body: () async throws -> Void) async -> ChainruleError? {
      do { try await body() } catch { return error as? ChainruleError }
      return nil
    }
    return [
      "predict": await error { _ = try network.predict([1, 2, 3]) },
      "evaluate": await error { _ = try network.evaluate(batch) },
      "Model": await error { _ = try Model(network) },
      "parameters": await error { _ = try network.parameters(ofLayer: 0) },
      "setParameters": await error {
        try network.setParameters(
          LayerParameters(inputs: 4, units: 2, weights: Array(repeating: 0, count: 8), bias: [0, 0]),
          ofLayer: 1)
      },
      "adoptNames": await error { try network.adoptNames(of: batch) },
      "step": await error { try trainer.step(batch) },
      "gradients": await error { try trainer.gradients(batch) },
      "epoch": await error { try trainer.epoch(on: batch) },
      "epochs": await error { for try await _ in trainer.epochs(1, on: batch) {} },
      "trace": await error { _ = try trainer.trace() },
    ]
  }
}

/// Counts the times it is run.
private final class Heart: Sendable {
  private let count = Atomic(0)
  var beats: Int { count.load(ordering: .relaxed) }
  func beat() { count.add(1, ordering: .relaxed) }
}

@Suite struct `While a network is trained` {
  @Test func `every other call is refused, and afterwards none`() async throws {
    let owner = try Owner()
    let training = Task { try await owner.train(1_000_000) }
    var errors: [String: ChainruleError?]?
    while errors == nil {
      errors = await owner.errorsOfAllCalls()
      await Task.yield()
    }
    training.cancel()
    await #expect(throws: ChainruleError.cancelled) { try await training.value }
    #expect(errors?.count == 11)
    for (call, error) in try #require(errors) { #expect(error == .busy, "\(call)") }
    #expect(try await owner.bits.allSatisfy { $0.isFinite })
  }

  @MainActor @Test func `the main actor goes on with its work`() async throws {
    let network = try smallNetwork()
    let trainer = try Trainer(network, loss: .meanSquaredError)
    let data = try randomData(rows: 4000)
    let other = Task { @MainActor () -> ChainruleError? in
      while !Task.isCancelled {
        do throws(ChainruleError) { _ = try network.predict([1, 2, 3]) } catch { return error }
        await Task.yield()
      }
      return nil
    }
    for try await _ in trainer.epochs(20, on: data, batchSize: 4) {}
    other.cancel()
    #expect(await other.value == .busy)
    #expect(throws: Never.self) { try network.predict([1, 2, 3]) }
  }

  @Test func `Swift's threads are free, though more networks train than there are`() async throws {
    let heart = Heart()
    let beating = Task {
      while !Task.isCancelled {
        heart.beat()
        try await Task.sleep(for: .milliseconds(1))
      }
    }
    defer { beating.cancel() }
    let data = try randomData(rows: 2000)
    let enough = 20
    // Each trains until it has heard enough; were it on those threads, it would never hear a beat.
    let heard = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<2 * ProcessInfo.processInfo.activeProcessorCount + 1 {
        group.addTask {
          let trainer = try Trainer(try smallNetwork(), loss: .meanSquaredError)
          let start = heart.beats
          for try await _ in trainer.epochs(200, on: data, batchSize: 1) where heart.beats - start >= enough {
            break
          }
          return heart.beats - start
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(heard.allSatisfy { $0 >= enough }, "\(heard)")
  }
}

@Suite struct `What is called after each batch` {
  /// Rows for 7 batches of 8, the last of 2 rows.
  private let data: Dataset<Double>

  init() throws { data = try randomData(rows: 50) }

  private func trainer(
    schedule: Schedule = .constant, accumulating: Int = 1, threads: Int = 1
  ) throws -> Trainer<Double> {
    try Trainer(
      smallNetwork(), loss: .meanSquaredError,
      options: TrainerOptions(schedule: schedule, accumulationSteps: accumulating, seed: 3, threads: threads))
  }

  private func bits(_ trainer: Trainer<Double>) throws -> [Double] { try trainer.network.parameterVector() }

  /// The steps of a run, which is stopped after the one of that number.
  private func steps(
    of trainer: Trainer<Double>, epochs: Int, stoppingAfter last: Int = .max, streaming: Bool = false,
    patience: Int? = nil
  ) async throws -> (steps: [TrainingStep], epochs: [Epoch]) {
    let steps = Mutex<[TrainingStep]>([])
    let onStep: @Sendable (TrainingStep) -> TrainingDecision = { step in
      steps.withLock { $0.append(step) }
      return step.number >= last ? .stop : .proceed
    }
    let source: any BatchSource<Double> = streaming ? try data.shuffled(buffer: 9, seed: 1) : data
    let run = trainer.epochs(epochs, on: source, batchSize: 8, patience: patience, onStep: onStep)
    let reports = try await reports(of: run)
    return (steps.withLock(\.self), reports)
  }

  @Test(arguments: [false, true], [1, 2])
  func `has the number, the rows, the loss and the rate of each, and changes no bit`(
    streaming: Bool, threads: Int
  ) async throws {
    let schedule = Schedule(.exponential(factor: 0.9), per: .step)
    let (told, silent) = (
      try trainer(schedule: schedule, threads: threads), try trainer(schedule: schedule)
    )
    let (steps, epochs) = try await steps(of: told, epochs: 2, streaming: streaming)
    #expect(steps.map(\.number) == Array(1...14))
    #expect(steps.map(\.rows) == [8, 8, 8, 8, 8, 8, 2, 8, 8, 8, 8, 8, 8, 2])
    for (index, step) in steps.enumerated() {
      let rate = 0.001 * pow(0.9, Double(index))
      #expect(abs(step.learningRate - rate) < 1e-12 * rate)
    }
    for epoch in epochs {
      let first = 7 * (epoch.number - 1)
      let sums = steps[first..<first + 7].map { $0.loss * Double($0.rows) }
      let mean = sums.reduce(0, +) / 50
      #expect(abs(mean - epoch.loss) < 1e-12 * mean)
    }
    if streaming {
      for _ in 0..<2 { try silent.epoch(on: data.shuffled(buffer: 9, seed: 1), batchSize: 8) }
    } else {
      for _ in 0..<2 { try silent.epoch(on: data, batchSize: 8) }
    }
    #expect(try bits(told) == bits(silent))
  }

  @Test func `counts updates where several batches make one`() async throws {
    let steps = try await steps(of: trainer(accumulating: 3), epochs: 1).steps
    #expect(steps.map(\.number) == [0, 0, 1, 1, 1, 2, 3])
  }

  @Test func `stops training within an epoch, which then goes on to the same bits`() async throws {
    let (stopped, whole) = (try trainer(), try trainer())
    let first = try await steps(of: stopped, epochs: 5, stoppingAfter: 10)
    #expect(first.steps.count == 10 && first.epochs.map(\.number) == [1] && stopped.completedEpochs == 1)
    let second = try await steps(of: stopped, epochs: 1)
    #expect(second.steps.map(\.number) == Array(11...14) && second.epochs.map(\.number) == [2])
    for _ in 0..<2 { try whole.epoch(on: data, batchSize: 8) }
    #expect(try bits(stopped) == bits(whole))
  }

  @Test func `stops training after the last batch of an epoch, which counts`() async throws {
    let trainer = try trainer()
    let run = try await steps(of: trainer, epochs: 5, stoppingAfter: 7)
    #expect(run.epochs.map(\.number) == [1] && trainer.steps == 7)
    // Nothing of the stop is left over.
    try trainer.epoch(on: data, batchSize: 8)
    #expect(trainer.completedEpochs == 2 && trainer.steps == 14)
  }

  @Test func `stops an epoch over a source, which goes on behind its last batch`() async throws {
    let trainer = try trainer()
    let run = try await steps(of: trainer, epochs: 5, stoppingAfter: 3, streaming: true)
    #expect(run.epochs.isEmpty && trainer.completedEpochs == 0 && trainer.steps == 3)
    #expect(try await steps(of: trainer, epochs: 1, streaming: true).steps.map(\.number) == [4, 5, 6, 7])
    let whole = try self.trainer()
    #expect(try await steps(of: whole, epochs: 1, streaming: true).steps.count == 7)
    #expect(try bits(trainer) == bits(whole) && trainer.completedEpochs == 1)
  }

  @Test func `leaves the best parameters where there is patience`() async throws {
    let (stopped, one) = (try trainer(), try trainer())
    _ = try await steps(of: stopped, epochs: 5, stoppingAfter: 9, patience: 100)
    try one.epoch(on: data, batchSize: 8)
    #expect(try bits(stopped) == bits(one))
  }

  @Test func `may cancel the task, which ends after that batch with that error`() async throws {
    let handle = Mutex<Task<(ChainruleError?, Int), any Error>?>(nil)
    let isHeld = DispatchSemaphore(value: 0)
    let data = data
    let task = Task { () -> (ChainruleError?, Int) in
      let trainer = try Trainer(smallNetwork(), loss: .meanSquaredError)
      let epochs = trainer.epochs(3, on: data, batchSize: 8) { step in
        if step.number == 1 { isHeld.wait() }
        if step.number == 4 { handle.withLock { $0?.cancel() } }
        return .proceed
      }
      do throws(ChainruleError) {
        for try await _ in epochs {}
        return (nil, trainer.steps)
      } catch {
        return (error, trainer.steps)
      }
    }
    handle.withLock { $0 = task }
    isHeld.signal()
    let (error, steps) = try await task.value
    #expect(error == .cancelled && steps == 4)
  }
}

@Suite struct `A training that is cancelled` {
  @Test(arguments: [true, false])
  func `stops behind a whole batch, and goes on there later to the same bits`(shuffles: Bool) async throws {
    let (straight, halting) = (try Owner(shuffles: shuffles), try Owner(shuffles: shuffles))
    var isWithinEpoch = false
    for _ in 0..<100 where !isWithinEpoch {
      let training = Task { try await halting.train(1_000_000) }
      try await Task.sleep(for: .milliseconds(3))
      training.cancel()
      await #expect(throws: ChainruleError.cancelled) { try await training.value }
      isWithinEpoch = await halting.steps % Owner.batches != 0
    }
    try #require(isWithinEpoch)
    let (steps, epochs) = (await halting.steps, await halting.epochs)
    #expect(epochs == steps / Owner.batches)
    #expect(try await halting.bits.allSatisfy { $0.isFinite })
    if !shuffles { #expect(try await halting.bits == halting.bitsByHand(steps: steps)) }

    // Not with other batches or other rows.
    await #expect {
      try await halting.train(1, batchSize: Owner.batchSize + 1)
    } throws: { error in
      "\(error)".hasPrefix("epoch \(epochs + 1) was stopped after \(steps % Owner.batches * 4) rows; ")
    }
    await #expect {
      try await halting.train(1, rows: Owner.rows - 1)
    } throws: { error in
      "\(error)".hasPrefix("epoch \(epochs + 1) was stopped within \(Owner.rows) rows; ")
    }
    #expect(await halting.steps == steps)

    try await halting.train(1)
    #expect(await halting.steps == (epochs + 1) * Owner.batches)
    try await straight.train(epochs + 1)
    #expect(try await halting.bits == straight.bits)
    try await halting.train(1)
    try await straight.train(1)
    #expect(try await halting.bits == straight.bits)
    #expect(await halting.reports.map(\.number) == Array(1...epochs + 2))
    #expect(await halting.reports.map(\.loss) == straight.reports.map(\.loss))
  }

  @Test func `before it began leaves the network as it was`() async throws {
    let owner = try Owner()
    let before = try await owner.bits
    let training = Task {
      while !Task.isCancelled { await Task.yield() }
      try await owner.train(1)
    }
    training.cancel()
    await #expect(throws: ChainruleError.cancelled) { try await training.value }
    #expect(try await owner.bits == before)
    #expect(await owner.steps == 0)
  }

  @Test func `too late does not stop the next`() async throws {
    let network = try smallNetwork()
    let data = try randomData(rows: 40)
    let trainer = try Trainer(network, loss: .meanSquaredError)
    trainer.core.stop()  // as a task does that is cancelled while its last epoch is validated
    try trainer.epoch(on: data)
    trainer.core.stop()
    #expect(try await reports(of: trainer.epochs(2, on: data)).map(\.number) == [2, 3])
  }
}

@Suite struct `Memory is released` {
  private final class Remains {
    weak var network: Network<Double>?
    weak var trainer: Trainer<Double>?
    weak var coreNetwork: CoreNetwork<Double>?
    weak var coreTrainer: CoreTrainer<Double>?

    init(_ trainer: Trainer<Double>) {
      network = trainer.network
      self.trainer = trainer
      coreNetwork = trainer.network.core
      coreTrainer = trainer.core
    }

    /// The queue may drop what it ran a moment after its result has arrived.
    var isEmpty: Bool {
      get async throws {
        for _ in 0..<1000 where coreNetwork != nil || coreTrainer != nil {
          try await Task.sleep(for: .milliseconds(5))
        }
        return network == nil && trainer == nil && coreNetwork == nil && coreTrainer == nil
      }
    }
  }

  private func failure(of body: () async throws -> Void) async -> (any Error)? {
    do { try await body() } catch { return error }
    return nil
  }

  private func trained(epochs count: Int, breaking: Bool, failing: Bool) async throws -> Remains {
    let trainer = try Trainer(
      try smallNetwork(), loss: .meanSquaredError,
      optimizer: failing ? .sgd(learningRate: 1e300) : .adam())
    let data = try randomData(rows: 40)
    let epochs = trainer.epochs(count, on: data, batchSize: 4, validating: data, patience: 2)
    let failure = await failure { for try await _ in epochs where breaking { break } }
    #expect((failure != nil) == failing)
    _ = try Model(trainer.network).predict([1, 2, 3])
    return Remains(trainer)
  }

  @Test func `after training, after leaving it early, and after it failed`() async throws {
    #expect(try await trained(epochs: 3, breaking: false, failing: false).isEmpty)
    #expect(try await trained(epochs: 3, breaking: true, failing: false).isEmpty)
    #expect(try await trained(epochs: 3, breaking: false, failing: true).isEmpty)
  }

  private func frozen() throws -> (Model<Double>, Remains) {
    let trainer = try Trainer(try smallNetwork(), loss: .meanSquaredError)
    return (try Model(trainer.network), Remains(trainer))
  }

  @Test func `but a model's lives as long as the model`() async throws {
    let (model, remains) = try frozen()
    #expect(try await remains.isEmpty)
    #expect(try model.predict([1, 2, 3]).count == 2)
  }
}
