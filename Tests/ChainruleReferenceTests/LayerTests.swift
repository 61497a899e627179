import ChainruleReference
import RealModule
import TestSupport
import Testing

/// Layers of every kind between dense ones, in networks of three inputs and three outputs.
enum Zoo {
  static func networks() -> [Network<Double>] {
    var random = Random(state: 11)
    func row(_ count: Int, around mean: Double = 0) -> [Double] {
      random.matrix(1, count, scale: 0.5)[0].map { mean + $0 }
    }
    func dense(_ inputs: Int, _ units: Int, _ f: Activation = .identity) -> Layer<Double> {
      Layer(weights: random.matrix(units, inputs, scale: 1), bias: row(units), activation: f)
    }
    func batchNorm(_ n: Int, ε: Double = 1e-5) -> Layer<Double> {
      .batchNorm(gamma: row(n, around: 1), beta: row(n), momentum: 0.1, epsilon: ε)
    }
    func layerNorm(_ n: Int, ε: Double = 1e-5) -> Layer<Double> {
      .layerNorm(gamma: row(n, around: 1), beta: row(n), epsilon: ε)
    }
    func scaling(_ n: Int) -> Layer<Double> { .scaling(mean: row(n), deviation: row(n, around: 1)) }
    return [
      [dense(3, 4, .tanh), .activation(.softplus), dense(4, 3)],
      [.activation(.tanh), dense(3, 4), .activation(.gelu), dense(4, 3), .activation(.sigmoid)],
      [dense(3, 4, .tanh), .dropout(rate: 0.4), dense(4, 3)],
      [.dropout(rate: 0.2), dense(3, 6, .mish), .dropout(rate: 0.5), .dropout(rate: 0.1), dense(6, 3)],
      [dense(3, 4, .tanh), batchNorm(4), dense(4, 3)],
      [batchNorm(3, ε: 0.1), dense(3, 4), batchNorm(4), .activation(.silu), dense(4, 3), batchNorm(3)],
      [dense(3, 4, .tanh), layerNorm(4), dense(4, 3)],
      [layerNorm(3, ε: 0.1), dense(3, 5), layerNorm(5), .activation(.silu), dense(5, 3), layerNorm(3)],
      [scaling(3), dense(3, 4, .tanh), scaling(4), dense(4, 3), scaling(3)],
      [dense(3, 4, .tanh), dense(4, 4, .tanh), .residual(span: 1), dense(4, 3)],
      [dense(3, 3, .tanh), .residual(span: 1), .residual(span: 1), .residual(span: 3), dense(3, 3)],
      [
        dense(3, 4, .tanh), batchNorm(4), .activation(.tanh), dense(4, 2), layerNorm(2, ε: 0.1), dense(2, 4),
        .residual(span: 3), .dropout(rate: 0.3), .residual(span: 6), dense(4, 3), .residual(span: 10),
        scaling(3),
      ],
    ].map(Network.init)
  }

  static let rows = 5
  static let x = batch(21, scale: 1.5)
  static let y = batch(22, scale: 0.8)
  static let sampleWeights = [0.5, 2, 1, 0.75, 1.25]

  private static func batch(_ state: UInt64, scale: Double) -> [[Double]] {
    var random = Random(state: state)
    return random.matrix(rows, 3, scale: scale)
  }

  /// Masks that drop about a third.
  static func kept(_ network: Network<Double>) -> [Int: [[Bool]]] {
    var random = Random(state: 23)
    var width = 3
    var kept: [Int: [[Bool]]] = [:]
    for (l, layer) in network.layers.enumerated() {
      if !layer.weights.isEmpty { width = layer.weights.count }
      guard case .dropout = layer.kind else { continue }
      kept[l] = random.matrix(rows, width, scale: 1).map { $0.map { $0 > -0.3 } }
    }
    return kept
  }
}

@Suite struct `A scaling of the targets` {
  /// By hand: a = 100 x + 20, so that y = 220 is 2 in the unit of x.
  @Test func `takes no part in the loss, the gradients and the update`() {
    let dense = Layer(weights: [[0.5]], bias: [0.25], activation: .identity)
    let scaling = Layer.scaling(mean: [-0.2], deviation: [0.01])
    let scaled = Network(layers: [dense, scaling]), plain = Network(layers: [dense])
    let (x, y) = ([[3.0], [1.0]], [[220.0], [-80.0]])
    expectClose(scaled.predict(x).flatMap { $0 }, [195, 95], .float64, "predictions")
    // x is 1.75 and 0.75, the targets are 2 and −1.
    let loss = scaled.loss(.halfSquaredError, scaled.forward(x), y: y)
    expectClose([loss], [(0.25 * 0.25 + 1.75 * 1.75) / 4], .float64, "the loss")
    let (delta, gradients) = scaled.backward(.halfSquaredError, scaled.forward(x), y: y)
    #expect(delta[1].isEmpty && gradients[1].numbers.isEmpty)
    expectClose(gradients[0].numbers, [0.75, 0.5], .float64, "∂L/∂b, ∂L/∂W")
    var trainers = [scaled, plain].map {
      Trainer(network: $0, loss: .huber, optimizer: Optimizer<Double>.sgd(learningRate: 0.5))
    }
    let steps = [trainers[0].step(x: x, y: y), trainers[1].step(x: x, y: [[2], [-1]])]
    expectClose([steps[0].loss], [steps[1].loss], .float64, "the loss of a step")
    expectClose(
      trainers[0].network.layers[0].weights[0], trainers[1].network.layers[0].weights[0], .float64, "W")
  }
}

@Suite struct `A layer of any kind` {
  @Test(arguments: Zoo.networks().indices)
  func `has the slope of the loss for a gradient`(index: Int) throws {
    let network = Zoo.networks()[index]
    let kept = Zoo.kept(network)
    func L(_ network: Network<Double>) -> Double {
      network.loss(
        .meanSquaredError, network.forward(Zoo.x, kept: kept), y: Zoo.y, sampleWeights: Zoo.sampleWeights)
    }
    func slope(_ parameter: WritableKeyPath<Network<Double>, Double>) -> Double {
      var (above, below) = (network, network)
      above[keyPath: parameter] += 1e-6
      below[keyPath: parameter] -= 1e-6
      return (L(above) - L(below)) / 2e-6
    }
    let gradients = network.backward(
      .meanSquaredError, network.forward(Zoo.x, kept: kept), y: Zoo.y, sampleWeights: Zoo.sampleWeights
    ).gradients

    var worthComparing = 0
    for (l, gradient) in gradients.enumerated() {
      let layer = network.layers[l]
      var slopes = (layer.bias ?? []).indices.map { j in slope(\.layers[l].bias![j]) }
      slopes += layer.weights.indices.flatMap { j in
        layer.weights[j].indices.map { i in slope(\.layers[l].weights[j][i]) }
      }
      slopes += (layer.gamma ?? []).indices.map { j in slope(\.layers[l].gamma![j]) }
      slopes += (layer.beta ?? []).indices.map { j in slope(\.layers[l].beta![j]) }
      if slopes.isEmpty {
        #expect(gradient.numbers.isEmpty)
        continue
      }
      expectClose(gradient.numbers, slopes, .centralDifferences, "layer \(l + 1)")
      worthComparing += slopes.count { abs($0) > 1e-3 }
    }
    #expect(worthComparing > 5)
  }

  @Test(arguments: Zoo.networks().indices)
  func `learns`(index: Int) {
    var trainer = Trainer(
      network: Zoo.networks()[index], loss: .meanSquaredError, optimizer: .adam(learningRate: 0.01))
    let kept = Zoo.kept(trainer.network)
    let losses = (0..<50).map { _ in trainer.step(x: Zoo.x, y: Zoo.y, kept: kept).loss }
    #expect(losses.last! < 0.8 * losses.first!)
  }

  /// μ = (3, 2), σ² = (14/3, 2) by hand; the unbiased variances are 7 and 3.
  @Test func `follows its batches, where it is a batchNorm`() {
    let x: [[Double]] = [[1, 1], [2, 1], [6, 4]]
    let norm = Layer<Double>.batchNorm(gamma: [2, 1], beta: [0, -1], momentum: 0.25, epsilon: 1e-3)
    var trainer = Trainer(
      network: Network(layers: [norm]), loss: .meanSquaredError, optimizer: .sgd(learningRate: 0))
    let step = trainer.step(x: x, y: x)
    let deviations: [Double] = [(14 / 3 + 1e-3).squareRoot(), 2.001.squareRoot()]
    let z = x.flatMap { [($0[0] - 3) / deviations[0], ($0[1] - 2) / deviations[1]] }
    expectClose(step.z[0].flatMap { $0 }, z, .float64, "z")
    #expect(step.a[0] == step.z[0].map { [2 * $0[0], $0[1] - 1] })
    let after = trainer.network.layers[0]
    expectClose(after.mean!, [0.75, 0.5], .float64, "running mean")
    expectClose(after.variance!, [0.75 + 7 / 4, 0.75 + 3 / 4], .float64, "running variance")
    let prediction: [Double] = [2 * 1.25 / 2.501.squareRoot(), 1.5 / 1.501.squareRoot() - 1]
    expectClose(trainer.network.predict([[2, 2]])[0], prediction, .float64, "prediction")
  }

  @Test func `learns nothing from the variance of one row, where it is a batchNorm`() {
    let norm = Layer<Double>.batchNorm(gamma: [2], beta: [0.5], momentum: 0.25, epsilon: 1e-5)
    let dense = Layer<Double>(weights: [[3]], bias: [1], activation: .tanh)
    var trainer = Trainer(
      network: Network(layers: [dense, norm]), loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.5))
    let step = trainer.step(x: [[7]], y: [[0]])
    #expect(step.z[1] == [[0]] && step.a[1] == [[0.5]])
    #expect(step.gradients[0].numbers == [0, 0])
    #expect(step.gradients[1].gamma == [0] && step.gradients[1].beta == [1])
    #expect(trainer.network.layers[1].mean == [0] && trainer.network.layers[1].variance == [1])
  }

  @Test func `hands on what is kept, where it is a dropout, and all in prediction`() {
    let network = Network(layers: [Layer<Double>.dropout(rate: 0.75)])
    #expect(network.forward([[1, 2, 3]], kept: [0: [[true, false, true]]]).outputs == [[4, 0, 12]])
    #expect(network.predict([[1, 2, 3]]) == [[1, 2, 3]])
  }

  @Test func `adds what its block is given, where it is a residual`() {
    let layers: [Layer<Double>] = [
      .scaling(mean: [1, 2], deviation: [2, 4]), .activation(.relu), .residual(span: 1), .residual(span: 3),
    ]
    let trace = Network(layers: layers).forward([[-3, 10]])
    #expect(trace.a == [[[-2, 2]], [[0, 2]], [[-2, 4]], [[-5, 14]]])
    #expect(Network(layers: layers).predict([[-3, 10]]) == [[-5, 14]])
  }
}

@Suite struct `A target's doubt` {
  @Test func `is shared by all classes`() {
    expectClose(
      Loss.crossEntropy.smoothed([0, 1, 0, 0], by: 0.1), [0.025, 0.925, 0.025, 0.025], .float64, "y")
    expectClose(Loss.binaryCrossEntropy.smoothed([0, 1], by: 0.2), [0.1, 0.9], .float64, "y")
  }
}

@Suite struct `Gradient clipping` {
  /// One weight for each of x = (3, 4), from 0; the gradient is x where y = −1.
  private func updates(_ clipping: Clipping<Double>...) -> [Double] {
    var trainer = Trainer(
      network: Network(layers: [Layer<Double>(weights: [[0, 0]], bias: nil, activation: .identity)]),
      loss: .halfSquaredError, optimizer: .sgd(learningRate: 1), clipping: clipping)
    #expect(trainer.step(x: [[3, 4]], y: [[-1]]).gradients[0].weights == [[3, 4]], "as they were")
    return trainer.network.layers[0].weights[0]
  }

  @Test func `by norm scales all gradients, where they are longer`() {
    expectClose(updates(.norm(1)), [-3 / 5.000001, -4 / 5.000001], .float64, "updates")
    #expect(updates(.norm(6)) == [-3, -4])
  }

  @Test func `by value bounds each`() {
    #expect(updates(.value(3.5)) == [-3, -3.5])
    #expect(updates() == [-3, -4])
    expectClose(updates(.norm(1), .value(0.7)), [-3 / 5.000001, -0.7], .float64, "after the norm")
  }
}
