import Chainrule
import ChainruleExport
import Foundation
import TestSupport
import Testing

extension Random {
  fileprivate mutating func below(_ count: Int) -> Int {
    min(Int((next() + 1) / 2 * Double(count)), count - 1)
  }

  fileprivate mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[below(elements.count)]
  }

  /// Layers that end as wide as they begin, or as wide as the last dense layer; blocks nest to `depth`.
  fileprivate mutating func layers(_ count: Int, width: Int, depth: Int) -> [Layer] {
    let elementwise = Activation.allCases.filter { $0 != .softmax }
    var layers: [Layer] = []
    var width = width
    for _ in 0..<count {
      switch below(8) {
      case 0, 1:
        width = 1 + below(6)
        layers.append(.dense(Dense(width, activation: pick(elementwise), bias: below(3) > 0)))
      case 2: layers.append(.activation(pick(elementwise)))
      case 3: layers.append(.dropout(Dropout(0.25)))
      case 4:
        layers.append(.batchNorm(BatchNorm(momentum: pick([0.1, 0.01, 1]), epsilon: pick([1e-5, 1e-3]))))
      case 5: layers.append(.layerNorm(LayerNorm(epsilon: pick([1e-5, 0.25]))))
      case 6:
        layers.append(
          .scaling(
            Scaling(
              mean: (0..<width).map { _ in Double(Float(next())) },
              deviation: (0..<width).map { _ in Double(Float(1.5 + next())) })))
      default:
        guard depth > 0 else { continue }
        let block = self.layers(below(3), width: width, depth: depth - 1) + [.dense(Dense(width))]
        layers += block + [.residual(span: block.count)]
      }
    }
    return layers
  }

  /// Other numbers than a network starts with, where those are all 0 or 1.
  fileprivate mutating func fill<Scalar: NetworkScalar>(_ network: Network<Scalar>) throws {
    for layer in network.layers.indices {
      var parameters = try network.parameters(ofLayer: layer)
      if case .scaling = network.layers[layer] { continue }
      parameters.bias = parameters.bias?.map { _ in Scalar(next()) }
      parameters.gamma = parameters.gamma?.map { _ in Scalar(next()) }
      parameters.beta = parameters.beta?.map { _ in Scalar(next()) }
      parameters.mean = parameters.mean?.map { _ in Scalar(next()) }
      parameters.variance = parameters.variance?.map { _ in Scalar(1.1 + next()) }
      try network.setParameters(parameters, ofLayer: layer)
    }
  }
}

/// The layers that predict: without dropout, and the spans of blocks without it.
private func predicting(_ layers: [Layer]) -> [Layer] {
  func drops(_ layer: Layer) -> Bool { if case .dropout = layer { true } else { false } }
  return layers.indices.compactMap { index in
    guard case .residual(let span) = layers[index] else { return drops(layers[index]) ? nil : layers[index] }
    return .residual(span: layers[index - span..<index].count { !drops($0) })
  }
}

/// The model in a file, which must be of `Scalar`.
private func imported<Scalar: NetworkScalar>(_ bytes: Data, as: Scalar.Type) throws -> Model<Scalar> {
  switch try SavedModel(onnxBytes: bytes) {
  case .float32(let model as Model<Scalar>): return model
  case .float64(let model as Model<Scalar>): return model
  case let other:
    throw ChainruleError.invalidArgument(message: "\(other.scalarType) in place of \(Scalar.self)")
  }
}

private func expectRoundTrip<Scalar: NetworkScalar>(
  _ network: Network<Scalar>, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let model = try Model(network)
  let bytes = try model.exportONNX()
  #expect(try model.exportONNX() == bytes, sourceLocation: sourceLocation)
  let other = try imported(bytes, as: Scalar.self)
  let layers = predicting(model.layers)
  #expect(other.layers == layers, sourceLocation: sourceLocation)
  #expect(other.inputs == model.inputs, sourceLocation: sourceLocation)

  let kept = model.layers.indices.filter { if case .dropout = model.layers[$0] { false } else { true } }
  for (index, source) in kept.enumerated() where index < other.layers.count {
    #expect(
      try other.parameters(ofLayer: index) == model.parameters(ofLayer: source),
      sourceLocation: sourceLocation)
  }
  var random = Random(state: 3)
  let rows = random.matrix(5, model.inputs, scale: 2).flatMap { $0.map { Scalar($0) } }
  #expect(try other.predict(rows) == model.predict(rows), sourceLocation: sourceLocation)
}

@Suite struct `An exported model` {
  @Test(arguments: 0..<60) func `comes back with its layers and the bits of its parameters`(seed: Int) throws
  {
    func network<Scalar: NetworkScalar>(_: Scalar.Type) throws -> Network<Scalar> {
      var random = Random(state: UInt64(seed))
      for _ in 0..<3 { _ = random.next() }
      let inputs = 1 + random.below(5)
      let last = random.pick([Activation.softmax, .identity, .sigmoid])
      let layers =
        random.layers(2 + random.below(7), width: inputs, depth: 2) + [.dense(Dense(3, activation: last))]
      let network = try Network<Scalar>(inputs: inputs, layers: layers, seed: UInt64(seed))
      try random.fill(network)
      return network
    }
    try expectRoundTrip(network(Float.self))
    try expectRoundTrip(network(Double.self))
  }

  @Test(arguments: Activation.allCases) func `has every activation, of a layer and alone`(_ f: Activation)
    throws
  {
    func check<Scalar: NetworkScalar>(_: Scalar.Type) throws {
      try expectRoundTrip(Network<Scalar>(inputs: 3, layers: [.dense(Dense(4, activation: f))], seed: 1))
      try expectRoundTrip(Network<Scalar>(inputs: 3, layers: [.activation(f)]))
      try expectRoundTrip(Network<Scalar>(inputs: 3, layers: [.dense(Dense(4)), .activation(f)], seed: 1))
      try expectRoundTrip(
        Network<Scalar>(inputs: 3, layers: [.activation(.silu), .activation(.mish), .activation(f)]))
    }
    try check(Float.self)
    try check(Double.self)
  }

  @Test func `predicts in the unit of the targets, and keeps the target scaling`() throws {
    let scaling = try Standardization(mean: [100, -3], standardDeviation: [8, 0.5])
    let network = try Network<Float>(inputs: 3, targetScaling: scaling, seed: 4) {
      Dense(4, activation: .tanh)
      Dense(2)
    }
    try expectRoundTrip(network)
    let other = try imported(Model(network).exportONNX(), as: Float.self)
    #expect(other.targetScaling == scaling)
    #expect(try other.predict([0, 0, 0])[0] > 50)
  }

  @Test func `keeps what a block goes round, with an activation first in it`() throws {
    let network = try Network<Float>(inputs: 3, seed: 2) {
      Dense(4)
      Residual {
        Layer.activation(.relu)
        Dense(4)
      }
      Residual {
        Residual { Dense(4, activation: .tanh) }
        BatchNorm()
      }
    }
    try expectRoundTrip(network)
  }

  @Test func `adds a row to itself where a block only drops`() throws {
    let network = try Network<Double>(inputs: 3) { Residual { Dropout(0.5) } }
    let other = try imported(Model(network).exportONNX(), as: Double.self)
    #expect(try other.predict([1, 2, -3]) == [2, 4, -6])
  }

  @Test func `is the identity where all it does is to drop`() throws {
    let network = try Network<Float>(inputs: 2) { Dropout(0.5) }
    let other = try imported(Model(network).exportONNX(), as: Float.self)
    #expect(try other.predict([1, -3]) == [1, -3])
  }

  @Test func `keeps the names of features, targets and classes`() throws {
    let classifier = try Network<Float>(inputs: 2, layers: [.dense(Dense(2, activation: .softmax))])
    try classifier.adoptNames(
      of: Dataset(
        features: [0, 0], targets: [1, 0], rows: 1, inputs: 2, outputs: 2, featureNames: ["Größe", "\"b\\/"],
        classLabels: ["🌸", "x,y\n"]))
    let first = try imported(Model(classifier).exportONNX(), as: Float.self)
    #expect(first.featureNames == ["Größe", "\"b\\/"] && first.classLabels == ["🌸", "x,y\n"])
    #expect(first.targetNames == nil)

    let regression = try Network<Double>(inputs: 1, layers: [.dense(Dense(1))])
    try regression.adoptNames(
      of: Dataset(features: [0], targets: [1], rows: 1, inputs: 1, outputs: 1, targetNames: ["price"]))
    let second = try imported(Model(regression).exportONNX(), as: Double.self)
    #expect(second.targetNames == ["price"] && second.featureNames == nil && second.classLabels == nil)
  }

  @Test func `is refused where a layer is a Swift function`() throws {
    let square = CustomActivation("square", function: { $0 }, derivative: { $0 })
    let model = try Model(Network<Float>(inputs: 2, layers: [.dense(Dense(2)), .custom(square)]))
    let expected = ChainruleError.invalidNetwork(
      layer: 2, reason: "layer 2, square: an activation that is a Swift function cannot be written to ONNX")
    #expect(throws: expected) { try model.exportONNX() }
  }
}
