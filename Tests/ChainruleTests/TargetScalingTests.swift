import Foundation
import TestSupport
import Testing

@testable import Chainrule

private let layers: [Layer] = [.dense(Dense(9, activation: .tanh)), .dense(Dense(2))]

/// Rows whose two targets have units far from 1, and the same rows with standardised targets.
private func rows<Scalar: NetworkScalar>(
  _: Scalar.Type
) throws -> (raw: Dataset<Scalar>, standardized: Dataset<Scalar>, scaling: Standardization) {
  var random = Random(state: 5)
  let x = random.matrix(24, 3, scale: 1)
  let y = x.map { [1024 + 256 * ($0[0] * $0[1]), -0.001 + 0.0005 * $0[2]] }
  // Powers of two, so that 1 / σ and μ / σ are exact and the test can standardise by itself.
  let scaling = try Standardization(mean: [1024, 0], standardDeviation: [256, 0.0009765625])
  let standardized = y.map {
    [Scalar((Double(Scalar($0[0])) - 1024) / 256), Scalar(Double(Scalar($0[1])) * 1024)]
  }
  return (
    try Dataset(features: x.map { $0.map { Scalar($0) } }, targets: y.map { $0.map { Scalar($0) } }),
    try Dataset(features: x.map { $0.map { Scalar($0) } }, targets: standardized), scaling
  )
}

@Suite struct `A target scaling` {
  @Test func `trains to the bits of standardised targets, and predicts in the unit of the targets`()
    async throws
  {
    func check<Scalar: NetworkScalar>(_: Scalar.Type) async throws {
      let (raw, standardized, scaling) = try rows(Scalar.self)
      let scaled = try Network<Scalar>(inputs: 3, layers: layers, targetScaling: scaling, seed: 2)
      let plain = try Network<Scalar>(inputs: 3, layers: layers, seed: 2)
      for (network, data) in [(scaled, raw), (plain, standardized)] {
        let trainer = try Trainer(
          network, loss: .huber, optimizer: .adam(learningRate: 0.01), options: TrainerOptions(seed: 7))
        for try await _ in trainer.epochs(3, on: data, batchSize: 5) {}
      }
      #expect(try scaled.parameterVector() == plain.parameterVector())
      let (found, expected) = (
        try scaled.evaluate(raw, loss: .huber), try plain.evaluate(standardized, loss: .huber)
      )
      #expect(found.loss == expected.loss)
      // R² has no unit; the error of the first target outweighs that of the other by far.
      #expect(abs(found.r2 - expected.r2) < 1e-4)
      #expect(found.meanAbsoluteError > 10)
      let predictions = try plain.predict(raw.features)
      let inUnits = predictions.indices.map { index in
        Double(predictions[index]) * [256, 0.0009765625][index % 2] + [1024, 0][index % 2]
      }
      for (found, expected) in zip(try scaled.predict(raw.features), inUnits) {
        #expect(abs(Double(found) - expected) <= 1e-6 * max(abs(expected), 1e-3))
      }
    }
    try await check(Float.self)
    try await check(Double.self)
  }

  @Test func `is read back, from networks, models, files and in the other precision`() throws {
    let scaling = try Standardization(mean: [3, -0.5], standardDeviation: [2, 0.25])
    let network = try Network<Float>(inputs: 3, targetScaling: scaling) {
      Dense(4, activation: .relu)
      Dense(2, activation: .softplus)
    }
    let path = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let model = try Model(network)
    try model.save(to: path)
    #expect(network.targetScaling == scaling)
    #expect(try Model<Float>(contentsOf: path).targetScaling == scaling)
    #expect(try Model<Double>(model).targetScaling == scaling)
    #expect(try model.folded().targetScaling == scaling)
    #expect(network.outputActivation == .softplus && model.outputActivation == .softplus)
    #expect(network.layers.count == 3 && network.layers.last?.name == "scaling")
    let plain = try Network<Float>(inputs: 2) { Dense(1, activation: .sigmoid) }
    #expect(plain.targetScaling == nil && plain.outputActivation == .sigmoid)
  }

  @Test func `leaves the usual loss to the output layer`() throws {
    let (raw, standardized, scaling) = try rows(Double.self)
    let scaled = try Network<Double>(inputs: 3, layers: layers, targetScaling: scaling, seed: 2)
    let plain = try Network<Double>(inputs: 3, layers: layers, seed: 2)
    #expect(try scaled.evaluate(raw).loss == plain.evaluate(standardized, loss: .meanSquaredError).loss)
    #expect(try scaled.sampleGradients(on: raw) == plain.sampleGradients(on: standardized))
    #expect(try scaled.gradientCheck(on: raw).largestError < 1e-6)
  }

  @Test func `standardises for a loss function of your own, in training and in validation`() async throws {
    let (raw, standardized, scaling) = try rows(Double.self)
    let cubes = LossFunction<Double> { outputs, targets, columns in
      let d = zip(outputs, targets).map { $0 - $1 }
      let losses = stride(from: 0, to: d.count, by: columns).map { row in
        d[row..<row + columns].reduce(0) { $0 + abs($1 * $1 * $1) / 3 }
      }
      return (losses, d.map { $0 * abs($0) })
    }
    var losses: [[Double]] = []
    for (data, scaling) in [(raw, scaling), (standardized, nil)] {
      let network = try Network<Double>(inputs: 3, layers: layers, targetScaling: scaling, seed: 2)
      let trainer = try Trainer(
        network, loss: cubes, optimizer: .sgd(learningRate: 0.05), options: TrainerOptions(seed: 1))
      var run: [Double] = []
      for try await epoch in trainer.epochs(2, on: data, batchSize: 6, validating: data) {
        run += [epoch.loss, try #require(epoch.validation).loss]
      }
      losses.append(run)
    }
    #expect(losses[0][0] == losses[1][0] && losses[0][2] == losses[1][2])
    for (found, expected) in zip(losses[0], losses[1]) { #expect(abs(found - expected) < 1e-12 * expected) }
  }

  @Test func `is not in a trace, which ends with the output layer`() throws {
    let (raw, standardized, scaling) = try rows(Double.self)
    let scaled = try Network<Double>(inputs: 3, layers: layers, targetScaling: scaling, seed: 2)
    let plain = try Network<Double>(inputs: 3, layers: layers, seed: 2)
    let traces = try [(scaled, raw), (plain, standardized)].map { network, data in
      let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
      try trainer.step(data)
      return try trainer.trace()
    }
    #expect(traces[0].count == 2)
    #expect(traces[0] == traces[1])
  }

  @Test func `minimises on standardised targets`() async throws {
    let (raw, standardized, scaling) = try rows(Double.self)
    let scaled = try Network<Double>(inputs: 3, layers: layers, targetScaling: scaling, seed: 2)
    let plain = try Network<Double>(inputs: 3, layers: layers, seed: 2)
    try await scaled.minimize(raw, method: .lbfgs(), iterations: 9)
    try await plain.minimize(standardized, method: .lbfgs(), iterations: 9)
    #expect(try scaled.parameterVector() == plain.parameterVector())
  }

  @Test func `is refused where it makes no sense`() throws {
    let one = try Standardization(mean: [1], standardDeviation: [2])
    let probability = try Network<Float>(inputs: 1, targetScaling: one) { Dense(1, activation: .sigmoid) }
    let reason =
      "layer 2 scales the targets, but the output layer 1 is sigmoid: a probability has no unit; leave the "
      + "scaling out, or take another output activation"
    #expect(throws: ChainruleError.invalidNetwork(layer: 2, reason: reason)) {
      try Trainer(probability, loss: .meanSquaredError)
    }
    #expect(throws: ChainruleError.self) {
      try Network<Float>(inputs: 1, targetScaling: one) { Dense(2) }
    }
    let huge = try Standardization(mean: [0], standardDeviation: [1e-300])
    #expect(throws: ChainruleError.self) {
      try Network<Float>(inputs: 1, targetScaling: huge) { Dense(1) }
    }
    #expect(throws: ChainruleError.self) {
      try Network<Float>(inputs: 2, layers: [.scaling(Scaling(mean: [0, 0], deviation: [1, 1]))])
    }
  }
}

@Suite struct `Hinge` {
  @Test func `takes class labels: 0 counts as -1`() throws {
    let rows: [[Double]] = [[0.3, -0.2], [0.9, 0.1], [-0.4, 0.7]]
    let signs = try Dataset<Double>(features: rows, targets: [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    let labels = try Dataset<Double>(features: rows, targets: [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    let networks = try [signs, labels].map { data in
      let network = try Network<Double>(inputs: 2, seed: 1) { Dense(3) }
      let trainer = try Trainer(network, loss: .hinge, optimizer: .sgd(learningRate: 0.1))
      for _ in 0..<5 { try trainer.epoch(on: data, batchSize: 1) }
      return network
    }
    #expect(try networks[0].parameterVector() == networks[1].parameterVector())
    // 1 - a where y is 1, 1 + a where y is 0, of all outputs, their mean.
    let outputs = try networks[1].predict(labels.features)
    let terms = zip(outputs, labels.targets).map { a, y in max(0, y == 1 ? 1 - a : 1 + a) }
    let expected = terms.reduce(0, +) / 9
    #expect(abs(try networks[1].evaluate(labels, loss: .hinge).loss - expected) < 1e-15)
  }
}
