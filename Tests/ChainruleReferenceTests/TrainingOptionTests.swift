import TestSupport
import Testing

@testable import ChainruleReference

/// 3 → 5 tanh → 2, and 8 rows for it.
private struct Regression {
  var layers: [Layer<Double>]
  let x, y: [[Double]]

  init(batchNorm: Bool = false) {
    var random = Random(state: 11)
    x = random.matrix(8, 3, scale: 1)
    y = random.matrix(8, 2, scale: 1)
    layers = [
      Layer(weights: random.matrix(5, 3, scale: 1), bias: random.matrix(1, 5, scale: 1)[0], activation: .tanh)
    ]
    if batchNorm {
      layers.append(
        .batchNorm(
          gamma: [1, 2, 0.5, -1, 1.5], beta: [0, 1, 0, -1, 0.5], momentum: 0.1, epsilon: 0.01,
          mean: [0.5, -0.25, 0, 0.125, 1], variance: [1, 2, 0.5, 3, 0.25]))
    }
    layers.append(
      Layer(
        weights: random.matrix(2, 5, scale: 1), bias: random.matrix(1, 2, scale: 1)[0], activation: .identity)
    )
  }

  func trainer(
    maxNorm: Double? = nil, rates: [Int: Double] = [:], accumulating: Int = 1
  ) -> Trainer<Double> {
    Trainer(
      network: Network(layers: layers), loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.5),
      maxNorm: maxNorm, layerRates: rates, accumulating: accumulating)
  }
}

private func numbers(_ layer: Layer<Double>) -> [Double] {
  layer.weights.flatMap { $0 } + (layer.bias ?? []) + (layer.gamma ?? []) + (layer.beta ?? [])
    + (layer.mean ?? []) + (layer.variance ?? [])
}

private func expectClose(_ a: [Double], _ b: [Double], _ allowed: Double = 1e-13) {
  #expect(a.count == b.count)
  #expect((zip(a, b).map { abs($0 - $1) }.max() ?? .infinity) <= allowed)
}

@Suite struct `An update` {
  @Test func `of several batches is that of one of all their rows`() {
    let problem = Regression()
    let weights = problem.x.indices.map { 0.5 + Double($0 % 3) }
    var (whole, parts) = (problem.trainer(), problem.trainer(accumulating: 3))
    _ = whole.step(x: problem.x, y: problem.y, sampleWeights: weights)
    for rows in [0..<3, 3..<4, 4..<8] {
      #expect(numbers(parts.network.layers[0]) == numbers(problem.layers[0]))
      _ = parts.step(
        x: Array(problem.x[rows]), y: Array(problem.y[rows]), sampleWeights: Array(weights[rows]))
    }
    #expect(parts.state.t == 1)
    for l in 0..<2 { expectClose(numbers(parts.network.layers[l]), numbers(whole.network.layers[l])) }
    // What is left comes with flush, once.
    _ = parts.step(x: problem.x, y: problem.y)
    parts.flush()
    parts.flush()
    _ = whole.step(x: problem.x, y: problem.y)
    #expect(parts.state.t == 2)
    for l in 0..<2 { expectClose(numbers(parts.network.layers[l]), numbers(whole.network.layers[l])) }
  }

  @Test func `scales down the weights of neurons whose norm is too large, and no others`() {
    let problem = Regression()
    var (free, bound) = (problem.trainer(), problem.trainer(maxNorm: 1))
    _ = free.step(x: problem.x, y: problem.y)
    _ = bound.step(x: problem.x, y: problem.y)
    var count = 0
    for l in 0..<2 {
      #expect(free.network.layers[l].bias == bound.network.layers[l].bias)
      for (w, limited) in zip(free.network.layers[l].weights, bound.network.layers[l].weights) {
        let norm = w.reduce(0) { $0 + $1 * $1 }.squareRoot()
        count += norm > 1 ? 1 : 0
        expectClose(limited, norm > 1 ? w.map { $0 / norm } : w)
      }
    }
    #expect(count > 0 && count < 7)
  }

  @Test func `goes by the rates of the layers, and leaves frozen ones as they are`() {
    let problem = Regression(batchNorm: true)
    func moved(_ rates: [Int: Double]) -> [[Double]] {
      var trainer = problem.trainer(maxNorm: rates[0] == 0 ? 0.01 : nil, rates: rates)
      _ = trainer.step(x: problem.x, y: problem.y)
      return zip(trainer.network.layers, problem.layers).map { zip(numbers($0), numbers($1)).map(-) }
    }
    let free = moved([:])
    let slow = moved([0: 0.25, 2: 2])
    expectClose(slow[0], free[0].map { $0 / 4 })
    expectClose(slow[1], free[1])
    expectClose(slow[2], free[2].map { 2 * $0 })
    let frozen = moved([0: 0, 1: 0])
    #expect(frozen[0].allSatisfy { $0 == 0 } && frozen[1].allSatisfy { $0 == 0 })
    #expect(frozen[2].contains { $0 != 0 })
  }

  @Test func `has no part of a frozen layer in the norm that it clips`() {
    let problem = Regression()
    var trainer = Trainer(
      network: Network(layers: problem.layers), loss: .meanSquaredError, optimizer: .sgd(learningRate: 1),
      clipping: [.norm(0.01)], layerRates: [0: 0])
    _ = trainer.step(x: problem.x, y: problem.y)
    let moved = zip(numbers(trainer.network.layers[1]), numbers(problem.layers[1])).map(-)
    let norm = moved.reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(abs(norm - 0.01) < 1e-6)
  }

  @Test func `passes a frozen batchNorm by its running statistics, as central differences say`() {
    let problem = Regression(batchNorm: true)
    var trainer = problem.trainer(rates: [1: 0])
    let network = trainer.network
    func loss(_ network: Network<Double>) -> Double {
      network.loss(.meanSquaredError, network.forward(problem.x), y: problem.y)
    }
    #expect(network.forward(problem.x).outputs == network.predict(problem.x))
    let gradient = trainer.step(x: problem.x, y: problem.y).gradients
    for j in 0..<5 {
      for i in 0..<3 {
        var (up, down) = (network, network)
        up.layers[0].weights[j][i] += 1e-5
        down.layers[0].weights[j][i] -= 1e-5
        let expected = (loss(up) - loss(down)) / 2e-5
        #expect(abs(gradient[0].weights[j][i] - expected) < 1e-8)
      }
      var (up, down) = (network, network)
      up.layers[1].gamma![j] += 1e-5
      down.layers[1].gamma![j] -= 1e-5
      #expect(abs(gradient[1].gamma![j] - (loss(up) - loss(down)) / 2e-5) < 1e-8)
    }
  }

  @Test func `is of inputs with noise, as it is behind the scalings that come first`() {
    let problem = Regression()
    let noise = problem.x.map { $0.map { 0.1 * $0 * $0 } }
    let scaling = Layer<Double>.scaling(mean: [1, -2, 3], deviation: [0.5, 4, 0.125])
    var scaled = Trainer(
      network: Network(layers: [scaling] + problem.layers), loss: .meanSquaredError,
      optimizer: .sgd(learningRate: 0.5))
    var plain = problem.trainer()
    let raw = problem.x.map { x in
      zip(x, zip(scaling.mean!, scaling.deviation!)).map { $0 * $1.1 + $1.0 }
    }
    let (a, b) = (
      scaled.step(x: raw, y: problem.y, noise: noise),
      plain.step(x: added(problem.x, noise), y: problem.y)
    )
    #expect(abs(a.loss - b.loss) < 1e-12)
    for l in 0..<2 {
      expectClose(numbers(scaled.network.layers[l + 1]), numbers(plain.network.layers[l]), 1e-12)
    }
  }
}
