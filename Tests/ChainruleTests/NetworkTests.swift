import Testing

@testable import Chainrule

extension Network {
  /// All parameters, to be compared bit by bit.
  var bits: [Scalar] {
    get throws(ChainruleError) {
      var bits: [Scalar] = []
      for layer in layers.indices {
        let parameters = try parameters(ofLayer: layer)
        bits += parameters.weights + (parameters.bias ?? [])
      }
      return bits
    }
  }
}

@Suite struct `A network` {
  /// 2 inputs, 3 tanh, 2 without bias
  private func small() throws -> Network<Double> {
    try Network(inputs: 2, seed: 3) {
      Dense(3, activation: .tanh)
      Dense(2, bias: false)
    }
  }

  @Test func `is what its layers say`() throws {
    let network = try small()
    #expect((network.inputs, network.outputs, network.parameterCount) == (2, 2, 3 * 2 + 3 + 2 * 3))
    #expect(
      network.layers == [
        .dense(
          Dense(3, activation: .tanh, weightsInitializer: .glorotUniform, biasInitializer: .zeros)),
        .dense(Dense(2, bias: false, weightsInitializer: .glorotUniform, biasInitializer: .zeros)),
      ])
    #expect(network.kernelSet == Network<Float>.kernelSets.first)
    let first = try network.parameters(ofLayer: 0)
    #expect((first.inputs, first.units, first.weights.count, first.bias) == (2, 3, 6, [0, 0, 0]))
    let second = try network.parameters(ofLayer: 1)
    #expect((second.inputs, second.units, second.weights.count, second.bias) == (3, 2, 6, nil))
  }

  @Test func `computes f of W x + b, a row of W a neuron`() throws {
    let network = try Network<Double>(inputs: 2) { Dense(3, activation: .relu) }
    try network.setParameters(
      LayerParameters(inputs: 2, units: 3, weights: [1, 2, 3, 4, -5, 6], bias: [0.5, 0, 1]), ofLayer: 0)
    #expect(try network.predict([1, 10, 2, 0]) == [21.5, 43, 56, 2.5, 6, 0])
  }

  @Test(arguments: [true, false], [0, 1, 2])
  func `takes layers from if, else and for`(condition: Bool, count: Int) throws {
    let network = try Network<Float>(inputs: 2) {
      if condition { Dense(5) }
      for units in 0..<count { Dense(6 + units, activation: .relu) }
      if condition { Layer.dense(Dense(8)) } else { [Layer.dense(Dense(9)), .dense(Dense(10))] }
    }
    let units = (condition ? [5] : []) + (0..<count).map { 6 + $0 } + (condition ? [8] : [9, 10])
    #expect(network.layers.map(\.units) == units)
    #expect(network.layers.first?.activation == (condition || count == 0 ? .identity : .relu))
  }

  @Test func `takes over a model's parameters and names, and is apart from it`() throws {
    let network = try small()
    let data = try Dataset<Double>(
      features: [[0, 1]], targets: [[1, 2]], featureNames: ["a", "b"], targetNames: ["c", "d"])
    try network.adoptNames(of: data)
    let model = try Model(network)
    let second = try Network(model)
    #expect(try second.bits == network.bits)
    #expect(second.layers == network.layers)
    let names = try Model(second)
    #expect(names.featureNames == ["a", "b"] && names.targetNames == ["c", "d"] && names.classLabels == nil)

    let before = try network.bits
    try Trainer(second, loss: .meanSquaredError).step(data)
    #expect(try second.bits != before)
    #expect(try network.bits == before && Network(model).bits == before)
  }

  @Test func `is evaluated by the usual loss of its output layer, or the one asked for`() throws {
    let network = try small()
    let data = try Dataset<Double>(features: [[0, 1], [1, 1]], targets: [[1, 2], [0, 1]])
    let outputs = try network.predict(data.features)
    let squares = zip(outputs, data.targets).map { ($0 - $1) * ($0 - $1) }.reduce(0, +)
    let mean = try network.evaluate(data).loss
    #expect(abs(mean - squares / 4) <= 4 * squares.ulp)
    #expect(try network.evaluate(data, loss: .halfSquaredError).loss == mean)  // ½ Σ over two outputs
    #expect(try Model(network).evaluate(data) == network.evaluate(data))
  }
}

@Suite struct `A network is refused` {
  private func expect(
    _ error: ChainruleError, inputs: Int = 2, _ layers: [Dense],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(throws: error, sourceLocation: sourceLocation) {
      try Network<Float>(inputs: inputs, layers: layers.map(Layer.dense))
    }
    #expect(throws: error, sourceLocation: sourceLocation) {
      try Network<Double>(inputs: inputs, layers: layers.map(Layer.dense))
    }
    if case .invalidNetwork(let layer, let reason) = error {
      #expect("\(error)" == reason, sourceLocation: sourceLocation)
      if let layer { #expect(reason.hasPrefix("layer \(layer)"), sourceLocation: sourceLocation) }
    }
  }

  @Test func `without layers`() {
    expect(
      .invalidNetwork(layer: nil, reason: "the network has 0 layers; expected 1 to 10000"), [])
  }

  @Test(arguments: [0, -1, Int.min])
  func `without inputs or units`(size: Int) {
    expect(
      .invalidNetwork(layer: nil, reason: "the network has \(size) inputs; expected 1 to 2147483647"),
      inputs: size, [Dense(1)])
    expect(
      .invalidNetwork(layer: 2, reason: "layer 2 has \(size) units; expected 1 to 2147483647"),
      [Dense(1), Dense(size)])
  }

  @Test(arguments: [1 << 31, Int.max])
  func `with more than it can count`(size: Int) {
    expect(
      .invalidNetwork(layer: nil, reason: "the network has \(size) inputs; expected 1 to 2147483647"),
      inputs: size, [Dense(1)])
    expect(
      .invalidNetwork(layer: 1, reason: "layer 1 has \(size) units; expected 1 to 2147483647"), [Dense(size)])
  }

  @Test func `with more parameters than memory holds`() {
    let most = Int(Int32.max)
    #expect {
      try Network<Double>(inputs: most, layers: [.dense(Dense(most))])
    } throws: { error in
      switch error as? ChainruleError {
      case .outOfMemory, .invalidNetwork: "\(error)".contains("parameters")
      default: false
      }
    }
  }

  @Test func `with a softmax layer that is hidden`() {
    expect(
      .invalidNetwork(layer: 1, reason: "layer 1 is softmax, which only the last layer (2) may be"),
      [Dense(3, activation: .softmax), Dense(2)])
  }

  @Test func `with an initialiser that cannot draw`() {
    expect(
      .invalidNetwork(
        layer: 2,
        reason: "layer 2, weights: the value of initializer uniform must be finite and not negative; got -1"),
      [Dense(3), Dense(2, weightsInitializer: .uniform(scale: -1))])
    expect(
      .invalidNetwork(
        layer: 1,
        reason: "layer 1, bias: the value of initializer normal must be finite and not negative; got infinity"
      ),
      [Dense(3, biasInitializer: .normal(standardDeviation: .infinity))])
    expect(
      .invalidNetwork(
        layer: 1, reason: "layer 1, weights: the value of initializer constant must be finite; got NaN"),
      [Dense(3, weightsInitializer: .constant(.nan))])
  }

  @Test(arguments: [
    Initializer.constant(1e300), .constant(-1e39), .normal(standardDeviation: 3e38), .uniform(scale: 1e300),
  ])
  func `with initial values that its scalar type does not have`(initializer: Initializer) throws {
    for layer in [Dense(8, weightsInitializer: initializer), Dense(8, biasInitializer: initializer)] {
      let error = #expect(throws: ChainruleError.self) {
        try Network<Float>(inputs: 2, layers: [.dense(Dense(2)), .dense(layer)])
      }
      let name = layer.biasInitializer == initializer ? "bias" : "weights"
      #expect("\(try #require(error))".hasPrefix("layer 2, \(name): the initial value "))
      #expect("\(try #require(error))".contains(" is infinite in float32; expected an initializer"))
      _ = try Network<Double>(inputs: 2, layers: [.dense(Dense(2)), .dense(layer)])
    }
  }

  @Test func `with a kernel set that nobody knows`() {
    #expect(
      throws: ChainruleError.invalidArgument(
        message: "kernel set mmx: no such kernel set; expected avx512, avx2, baseline or gsl")
    ) {
      try Network<Float>(inputs: 1, layers: [.dense(Dense(1))], kernelSet: "mmx")
    }
  }
}

@Suite struct `Parameters are refused, and the layer stays as it was,` {
  private let network: Network<Double>
  private let before: [Double]

  init() throws {
    network = try Network(inputs: 2, seed: 1) {
      Dense(3, activation: .tanh)
      Dense(2, bias: false)
    }
    before = try network.bits
  }

  private func expect(
    _ error: ChainruleError, ofLayer layer: Int, inputs: Int, units: Int, weights: [Double], bias: [Double]?,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(throws: error, sourceLocation: sourceLocation) {
      try network.setParameters(
        LayerParameters(inputs: inputs, units: units, weights: weights, bias: bias), ofLayer: layer)
    }
    #expect(try network.bits == before, sourceLocation: sourceLocation)
  }

  private let six = [1.0, 2, 3, 4, 5, 6]

  @Test(arguments: [2, -1, Int.max, Int.min])
  func `of a layer there is not`(layer: Int) throws {
    let error = ChainruleError.invalidValue(name: "layer", value: "\(layer)", expected: "0 to 1")
    try expect(error, ofLayer: layer, inputs: 2, units: 3, weights: six, bias: [0, 0, 0])
    #expect(throws: error) { try network.parameters(ofLayer: layer) }
    #expect(throws: error) { try Model(network).parameters(ofLayer: layer) }
  }

  @Test func `with a bias too many or missing`() throws {
    try expect(
      .invalidArgument(message: "layer 1 has a bias; the parameters given have none"), ofLayer: 0,
      inputs: 2, units: 3, weights: six, bias: nil)
    try expect(
      .invalidArgument(message: "layer 2 has no bias; the parameters given have one"), ofLayer: 1,
      inputs: 3, units: 2, weights: six, bias: [0, 0])
  }

  @Test func `of another size`() throws {
    try expect(
      .shapeMismatch(what: "inputs of layer 1", expected: 2, actual: 3), ofLayer: 0,
      inputs: 3, units: 2, weights: six, bias: [0, 0, 0])
    try expect(
      .shapeMismatch(what: "units of layer 2", expected: 2, actual: 4), ofLayer: 1,
      inputs: 3, units: 4, weights: six, bias: nil)
    try expect(
      .invalidArgument(message: "layer 1, weights: expected 6 values, got 5"), ofLayer: 0,
      inputs: 2, units: 3, weights: [1, 2, 3, 4, 5], bias: [0, 0, 0])
    try expect(
      .invalidArgument(message: "layer 1, bias: expected 3 values, got 2"), ofLayer: 0,
      inputs: 2, units: 3, weights: six, bias: [0, 0])
  }

  @Test(arguments: [(Double.nan, "NaN"), (.infinity, "infinity"), (-.infinity, "-infinity")])
  func `that are not finite`(value: Double, word: String) throws {
    try expect(
      .notFinite(
        quantity: "weights", layer: 2, step: nil, message: "layer 2, weights: value 5 is \(word)"),
      ofLayer: 1, inputs: 3, units: 2, weights: [1, 2, 3, 4, value, 6], bias: nil)
    try expect(
      .notFinite(quantity: "bias", layer: 1, step: nil, message: "layer 1, bias: value 3 is \(word)"),
      ofLayer: 0, inputs: 2, units: 3, weights: six, bias: [0, 0, value])
  }
}

@Suite struct `Data are refused` {
  private func network() throws -> Network<Float> {
    try Network(inputs: 3) { Dense(2) }
  }

  @Test(arguments: [1, 2, 4, 5, 100])
  func `that are not whole rows`(count: Int) throws {
    let error = ChainruleError.shapeMismatch(
      what: "values of a prediction's inputs, to be a multiple of the network's inputs", expected: 3,
      actual: count)
    #expect(throws: error) { try network().predict(Array(repeating: 0, count: count)) }
    #expect(throws: error) { try Model(network()).predict(Array(repeating: 0, count: count)) }
  }

  @Test(arguments: [(Float.nan, "NaN"), (.infinity, "infinity"), (-.infinity, "-infinity")])
  func `that are not finite`(value: Float, word: String) throws {
    let error = ChainruleError.notFinite(
      quantity: "inputs, row 2, column 3", layer: nil, step: nil,
      message: "inputs, row 2, column 3: \(word)")
    #expect(throws: error) { try network().predict([1, 2, 3, 4, 5, value]) }
    #expect(throws: error) { try Model(network()).predict([1, 2, 3, 4, 5, value]) }
  }

  @Test func `with more or fewer columns than the network has`() throws {
    let (narrow, short) = (
      try Dataset<Float>(features: [[1, 2]], targets: [[1, 2]]),
      try Dataset<Float>(features: [[1, 2, 3]], targets: [[1]])
    )
    let network = try network()
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
    let uses: [(Dataset<Float>) throws -> Void] = [
      { _ = try network.evaluate($0) }, { _ = try Model(network).evaluate($0) },
      { try network.adoptNames(of: $0) }, { try trainer.step($0) }, { try trainer.gradients($0) },
      { try trainer.epoch(on: $0) },
    ]
    for use in uses {
      #expect(throws: ChainruleError.shapeMismatch(what: "the data's features", expected: 3, actual: 2)) {
        try use(narrow)
      }
      #expect(throws: ChainruleError.shapeMismatch(what: "the data's targets", expected: 2, actual: 1)) {
        try use(short)
      }
    }
    #expect(trainer.steps == 0)
  }

  @Test func `with targets that the loss cannot have`() throws {
    let binary = try Network<Float>(inputs: 1) { Dense(2, activation: .sigmoid) }
    let cases: [(Loss, Float, String)] = [
      (.binaryCrossEntropy, 1.5, "from 0 to 1; got 1.5"), (.poisson, -1, "0 or more; got -1"),
      (.hinge, 0.5, "-1, 0 or 1 (0 counts as -1); got 0.5"),
    ]
    for (loss, target, expected) in cases {
      let data = try Dataset<Float>(features: [[0], [0]], targets: [[1, 1], [1, target]])
      let error = ChainruleError.invalidArgument(
        message: "targets, row 2, column 2: \(loss.rawValue) needs targets \(expected)")
      #expect(throws: error) { try Trainer(binary, loss: loss).step(data) }
      #expect(throws: error) { try Trainer(binary, loss: loss).epoch(on: data) }
      #expect(throws: error) { try binary.evaluate(data, loss: loss) }
    }
  }
}
