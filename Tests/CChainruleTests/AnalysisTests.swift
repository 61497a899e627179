import Chainrule
import TestSupport
import Testing

/// The Jacobians of every kind of layer and every activation are held against central differences in
/// Tests/c/analysis.c; here, what Swift hands on.
@Suite struct `A derivative` {
  let network: Network<Double>
  let data: Dataset<Double>

  init() throws {
    network = try Network(inputs: 3, layers: Zoo.nested, seed: 2)
    data = try Zoo.data(rows: 7)
    var random = Random(state: 9)
    try network.setParameterVector(network.parameterVector().map { $0 + 0.2 * random.next() })
  }

  @Test func `by an input is the slope of each output`() throws {
    var slopes = [Double](repeating: 0, count: 7 * 3 * 3)
    for i in 0..<3 {
      let outputs = try [1e-6, -1e-6].map { step in
        try network.predict(data.features.enumerated().map { $0 % 3 == i ? $1 + step : $1 })
      }
      for k in 0..<21 { slopes[k * 3 + i] = (outputs[0][k] - outputs[1][k]) / 2e-6 }
    }
    #expect(mismatch(try network.inputJacobian(data.features), slopes, .centralDifferences) == nil)
    #expect(try Model(network).inputJacobian(data.features) == network.inputJacobian(data.features))
  }

  @Test func `by a parameter is the slope of each output and of each row's loss`() throws {
    let count = network.parameterCount
    let parameters = try network.parameterVector()
    var slopes = [Double](repeating: 0, count: 21 * count)
    var lossSlopes = [Double](repeating: 0, count: 7 * count)
    for p in 0..<count {
      let outputs = try [1e-6, -1e-6].map { step in
        var moved = parameters
        moved[p] += step
        try network.setParameterVector(moved)
        return try network.predict(data.features)
      }
      for k in 0..<21 {
        slopes[k * count + p] = (outputs[0][k] - outputs[1][k]) / 2e-6
        // The last layer scales the targets: errors count times its deviations, 1, 2 and 3.
        let unit = Double(k % 3 + 1)
        let squares = outputs.map { ($0[k] - data.targets[k]) * unit }.map { $0 * $0 }
        lossSlopes[k / 3 * count + p] += (squares[0] - squares[1]) / 3 / 2e-6
      }
    }
    try network.setParameterVector(parameters)
    #expect(mismatch(try network.parameterJacobian(data.features), slopes, .centralDifferences) == nil)
    let samples = try network.sampleGradients(on: data, loss: .meanSquaredError)
    #expect(mismatch(samples, lossSlopes, .centralDifferences) == nil)
    let model = try Model(network)
    #expect(try model.parameterJacobian(data.features) == network.parameterJacobian(data.features))
    #expect(try model.sampleGradients(on: data) == network.sampleGradients(on: data))
  }

  @Test func `of samples sums to that of their batch`() throws {
    let network = try Network<Float>(inputs: 3, seed: 4) {
      Dense(5, activation: .tanh)
      LayerNorm()
      Dense(3)
    }
    let data: Dataset<Float> = try Zoo.data(rows: 150)
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
    try trainer.gradients(data)
    var batch: [Float] = []
    for layer in try trainer.trace() {
      for gradient in [layer.weightsGradient, layer.biasGradient, layer.gammaGradient, layer.betaGradient] {
        batch += gradient ?? []
      }
    }
    let samples = try network.sampleGradients(on: data)
    let count = network.parameterCount
    var sums = [Double](repeating: 0, count: count)
    for (i, gradient) in samples.enumerated() { sums[i % count] += Double(gradient) / 150 }
    #expect(mismatch(batch, sums, .float32) == nil)
  }

  @Test func `that is right is found to be so, in either type`() throws {
    let single = try Network(Model<Float>(Model(network)))
    let check = try network.gradientCheck(on: data, loss: .logCosh)
    #expect(check.largestError < 1e-6, "\(check)")
    #expect(abs(check.loss - (try network.evaluate(data, loss: .logCosh).loss)) < 1e-12)
    let narrow: Dataset<Float> = try Zoo.data(rows: 7)
    #expect(try single.gradientCheck(on: narrow, loss: .logCosh).largestError < 1e-6)
  }

  @Test func `across a kink is found not to be`() throws {
    let network = try Network<Double>(inputs: 1) { Dense(1, activation: .relu) }
    try network.setParameterVector([0, 0])  // z = 0: relu's slope is 0 to the left and 1 to the right
    let check = try network.gradientCheck(on: Dataset(features: [[1]], targets: [[1]]))
    #expect(check.largestError > 0.9 && check.layer == 0)
    #expect(check.parameter == "weights" && check.index == 0)
    #expect(check.gradient == 0 && check.slope < -0.9, "\(check)")
  }

  @Test func `of what does not fit is refused`() throws {
    #expect(throws: ChainruleError.self) { try network.inputJacobian([1, 2, 3, 4]) }
    #expect(throws: ChainruleError.self) { try network.parameterJacobian([]) }
    #expect(throws: ChainruleError.self) { try network.inputJacobian([1, .nan, 3]) }
    let count = network.parameterCount
    #expect(throws: ChainruleError.shapeMismatch(what: "parameters", expected: count, actual: 2)) {
      try network.setParameterVector([1, 2])
    }
    #expect(throws: ChainruleError.self) { try network.sampleGradients(on: data, loss: .crossEntropy) }
    let other = try Dataset<Double>(features: [[1, 2]], targets: [[1]])
    #expect(throws: ChainruleError.shapeMismatch(what: "the data's features", expected: 3, actual: 2)) {
      try network.gradientCheck(on: other)
    }
    var huge = try network.parameterVector()
    huge[0] = .infinity
    #expect(throws: ChainruleError.self) { try network.setParameterVector(huge) }
  }
}
