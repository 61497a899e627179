import Chainrule

/// What a node, or a few, do to the rows they are given.
struct Step {
  enum Action {
    /// z = W x + b, W as [units, inputs] where `isTransposed`, else as [inputs, units]
    case dense(weights: Constant, isTransposed: Bool, bias: Constant?, alpha: Double, beta: Double)
    case activation(Activation)
    /// x + values, or x − values
    case shift(Constant, sign: Double)
    /// x · values, or x / values
    case factor(Constant, isInverse: Bool)
    /// (x − mean) · factor
    case scaler(mean: [Double], factor: [Double])
    case batchNorm(BatchNorm, [Constant])
    case layerNorm(LayerNorm, [Constant])
    /// x + what was called `skip`
    case residual(skip: String)
    /// From σ(z), one number a row, 1 − σ(z) and σ(z): the softmax of 0 and z
    case complement
    /// One feature dimension in place of several
    case flatten
    /// The shape of the rows as they are now is to be `dims`, with 0 and −1 as Reshape has them.
    case reshape(dims: [Int64])
    case nothing
  }

  var action: Action
  /// For messages
  var node: Node
  /// What it takes and gives.
  var input, output: String
}

/// Makes layers of steps, from the input on, and compares the sizes on the way.
struct Chain {
  private let inputs: Int
  private var layers: [Layer] = []
  private var parameters: [LayerParameters<Double>] = []
  /// Whether parameters are stored in float64; nil where there are none.
  private(set) var isDouble: Bool?
  /// The sizes of a row as it is now.
  private var dims: [Int]
  /// How many layers there are before a tensor, and its row's sizes.
  private var places: [String: (layers: Int, dims: [Int])] = [:]
  /// The tensors that residual sums add again.
  private let skips: Set<String>
  /// Whether one of them is what comes out of the last layer.
  private var isSkipped = false
  /// What wrote the last layer, and whether that is a lone shift, which a factor may follow.
  private var last: (node: Node, isShift: Bool)?
  private var allowance: Int

  /// The chain of `steps` on rows of sizes `dims`, nil where the graph does not state one. As many values as `allowance` may
  /// become parameters: a small file must not ask for much memory by naming a tensor often.
  init(_ steps: [Step], input: String, dims: [Int?]?, allowance: Int) throws {
    self.allowance = allowance
    let dims = dims ?? [nil]
    let stated = dims.compactMap { $0 }
    if stated.count == dims.count {
      self.dims = stated
    } else if dims.count == 1, let width = steps.lazy.compactMap(\.width).first {
      self.dims = [width]
    } else {
      throw Unreadable("input \(quoted(input)): how many features it has is not stated")
    }
    inputs = try Self.product(self.dims, input)
    skips = Set(
      steps.compactMap { step in
        if case .residual(let skip) = step.action { skip } else { nil }
      })
    note(input)
    for step in steps {
      try add(step)
      note(step.output)
    }
  }

  /// The size of a row as it comes out.
  var outputs: Int { dims.reduce(1, *) }

  private static func product(_ dims: [Int], _ input: String) throws -> Int {
    var product = 1
    for dim in dims {
      let next = product.multipliedReportingOverflow(by: dim)
      guard !next.overflow, next.partialValue <= Int32.max else {
        throw Unreadable("input \(quoted(input)): a row of shape \(dims) is too large")
      }
      product = next.partialValue
    }
    return product
  }

  private mutating func note(_ tensor: String) {
    places[tensor] = (layers.count, dims)
    if skips.contains(tensor) { isSkipped = true }
  }

  /// The model, with the names that there are.
  func model(features: [String]?, targets: [String]?, classes: [String]?) throws -> Model<Double> {
    guard !layers.isEmpty else { throw Unreadable("the graph has no layer") }
    for (what, names, count) in [
      ("features", features, inputs), ("targets", targets, outputs), ("classes", classes, outputs),
    ] {
      guard let names, names.count != count else { continue }
      throw Unreadable("there are \(names.count) names of \(what); expected \(count)")
    }
    let network = try Network<Double>(inputs: inputs, layers: layers)
    for (index, values) in parameters.enumerated() { try network.setParameters(values, ofLayer: index) }
    if features != nil || targets != nil || classes != nil {
      // Names come by a data set; one row of it will do.
      let target = [1] + [Double](repeating: 0, count: outputs - 1)
      try network.adoptNames(
        of: Dataset(
          features: [Double](repeating: 0, count: inputs), targets: target, rows: 1, inputs: inputs,
          outputs: outputs, featureNames: features, targetNames: targets, classLabels: classes))
    }
    return try network.freeze()
  }

  // MARK: Steps

  private mutating func add(_ step: Step) throws {
    let node = step.node
    switch step.action {
    case .dense(let weights, let isTransposed, let bias, let alpha, let beta):
      try addDense(
        isTransposed ? weights : weights.dims.count == 2 ? weights.transposed() : weights, bias, alpha, beta,
        node)
    case .activation(let activation): try addActivation(activation, node)
    case .shift(let constant, let sign):
      let values = try vector(constant, node)
      try append(
        .scaling(Scaling(mean: values.map { -sign * $0 }, deviation: values.map { _ in 1 })), node,
        isShift: true)
    case .factor(let constant, let isInverse):
      let factors = try vector(constant, node)
      try addFactors(isInverse ? factors : factors.map { 1 / $0 }, node)
    case .scaler(let mean, let factor):
      let (mean, factor) = (try stretched(mean, "offset", node), try stretched(factor, "scale", node))
      try append(.scaling(Scaling(mean: mean, deviation: factor.map { _ in 1 })), node, isShift: true)
      try addFactors(factor.map { 1 / $0 }, node)
    case .batchNorm(let norm, let constants):
      var values = LayerParameters<Double>(inputs: try features(node), units: try features(node))
      values.gamma = try feature(constants[0], node)
      values.beta = try feature(constants[1], node)
      values.mean = try feature(constants[2], node)
      values.variance = try feature(constants[3], node)
      try append(.batchNorm(norm), node, values)
    case .layerNorm(let norm, let constants):
      var values = LayerParameters<Double>(inputs: try features(node), units: try features(node))
      values.gamma = try feature(constants[0], node)
      values.beta =
        constants.count > 1 ? try feature(constants[1], node) : [Double](repeating: 0, count: values.units)
      try append(.layerNorm(norm), node, values)
    case .residual(let skip):
      guard let place = places[skip], place.dims == dims else {
        throw Unreadable(node, "neither of the two it adds is the input of layers that end in the other")
      }
      if place.layers == layers.count { try append(.activation(.identity), node) }  // x + x
      try append(.residual(span: layers.count - place.layers), node)
    case .complement: try addComplement(node)
    case .flatten: dims = [outputs]
    case .reshape(let shape): try reshape(shape, node)
    case .nothing: break
    }
  }

  private mutating func append(
    _ layer: Layer, _ node: Node, _ values: LayerParameters<Double>? = nil, isShift: Bool = false
  ) throws {
    guard layers.last?.activation != .softmax else {
      throw Unreadable(node, "it follows a softmax; expected none to")
    }
    layers.append(layer)
    var standard = LayerParameters<Double>(inputs: outputs, units: outputs)
    if case .scaling(let scaling) = layer {
      (standard.mean, standard.deviation) = (scaling.mean, scaling.deviation)
    }
    parameters.append(values ?? standard)
    last = (node, isShift)
    isSkipped = false
  }

  /// Whether what `node` does may go into the last layer: nothing else is given that layer's output, and where both are
  /// Chainrule's, they are of one layer.
  private func joinsLast(_ node: Node) -> Bool {
    guard let last, !isSkipped else { return false }
    return last.node.layer == nil || node.layer == nil || last.node.layer == node.layer
  }

  private mutating func addDense(
    _ weights: Constant, _ bias: Constant?, _ alpha: Double, _ beta: Double, _ node: Node
  ) throws {
    let inputs = try features(node)
    guard weights.dims.count == 2, weights.count > 0, weights.dims[0] <= Int32.max else {
      throw Unreadable(
        node,
        "the weights \(quoted(weights.name)) have the shape \(weights.proto.dims); expected that of a matrix")
    }
    guard weights.dims[1] == inputs else {
      throw Unreadable(
        node, "the weights \(quoted(weights.name)) are for \(weights.dims[1]) features; a row has \(inputs)")
    }
    let units = weights.dims[0]
    var values = LayerParameters<Double>(inputs: inputs, units: units)
    values.weights = try numbers(weights)
    if alpha != 1 { values.weights = values.weights.map { alpha * $0 } }
    dims = [units]
    if let bias { values.bias = try vector(bias, node).map { beta == 1 ? $0 : beta * $0 } }
    try append(.dense(Dense(units, bias: bias != nil)), node, values)
  }

  private mutating func addActivation(_ activation: Activation, _ node: Node) throws {
    if activation == .softmax { _ = try features(node) }
    if joinsLast(node), case .dense(var dense) = layers[layers.count - 1], dense.activation == .identity {
      dense.activation = activation
      layers[layers.count - 1] = .dense(dense)
    } else {
      try append(.activation(activation), node)
    }
  }

  /// A division by `deviation`; with the shift before it it is one layer.
  private mutating func addFactors(_ deviation: [Double], _ node: Node) throws {
    if let value = deviation.first(where: { !($0 > 0 && $0.isFinite) }) {
      throw Unreadable(node, "it divides by \(value); expected a number above 0")
    }
    if joinsLast(node), last?.isShift == true, case .scaling(var scaling) = layers[layers.count - 1] {
      scaling.deviation = deviation
      layers[layers.count - 1] = .scaling(scaling)
      parameters[layers.count - 1].deviation = deviation
      last?.isShift = false
    } else {
      try append(.scaling(Scaling(mean: deviation.map { _ in 0 }, deviation: deviation)), node)
    }
  }

  /// softmax([0, z]) = [1 − σ(z), σ(z)]
  private mutating func addComplement(_ node: Node) throws {
    guard joinsLast(node), case .dense(var dense) = layers[layers.count - 1], dense.units == 1,
      dense.activation == .sigmoid
    else { throw Unreadable(node, "expected it to follow a dense layer of one sigmoid") }
    let single = parameters[layers.count - 1]
    try spend(single.inputs)
    var values = LayerParameters<Double>(inputs: single.inputs, units: 2)
    values.weights = [Double](repeating: 0, count: single.inputs) + single.weights
    values.bias = single.bias.map { [0] + $0 }
    dense.units = 2
    dense.activation = .softmax
    dims = [2]
    layers[layers.count - 1] = .dense(dense)
    parameters[layers.count - 1] = values
  }

  /// A change of shape that leaves the rows as they are, or makes one dimension of several.
  private mutating func reshape(_ shape: [Int64], _ node: Node) throws {
    let width = Int64(outputs)
    switch shape.count {
    case 1 where shape[0] == -1 && width == 1: return
    case 2 where shape[1] == width || (shape[1] == -1 && shape[0] != -1): dims = [outputs]
    case dims.count + 1 where shape.dropFirst().elementsEqual(dims.map { Int64($0) }): return
    default:
      throw Unreadable(
        node, "its shape is \(shape); expected [-1, \(width)], the features of a row in one dimension")
    }
  }

  // MARK: Values

  /// The number of features of a row, which must lie in one dimension.
  private func features(_ node: Node) throws -> Int {
    guard dims.count == 1 else {
      throw Unreadable(node, "its rows have the shape \(dims); expected one dimension: flatten them first")
    }
    return dims[0]
  }

  private mutating func spend(_ count: Int) throws {
    allowance -= min(count, allowance + 1)
    guard allowance >= 0 else {
      throw Unreadable("the graph makes many more parameters than the file has values")
    }
  }

  private mutating func numbers(_ constant: Constant) throws -> [Double] {
    try spend(constant.count)
    isDouble = isDouble == true || constant.isDouble
    return try constant.numbers()
  }

  /// One value a feature.
  private mutating func feature(_ constant: Constant, _ node: Node) throws -> [Double] {
    guard constant.dims == dims else {
      throw Unreadable(node, "\(quoted(constant.name)) has the shape \(constant.dims); expected \(dims)")
    }
    return try numbers(constant)
  }

  /// One value a feature, of which one may stand for all.
  private mutating func vector(_ constant: Constant, _ node: Node) throws -> [Double] {
    guard constant.count == 1 || constant.trimmedDims == Array(dims.drop { $0 == 1 }) else {
      throw Unreadable(
        node, "\(quoted(constant.name)) has the shape \(constant.dims); expected \(dims) or one number")
    }
    return try stretched(numbers(constant), constant.name, node)
  }

  private mutating func stretched(_ values: [Double], _ name: String, _ node: Node) throws -> [Double] {
    guard values.count == outputs || values.count == 1 else {
      throw Unreadable(node, "\(quoted(name)) has \(values.count) values; expected \(outputs) or 1")
    }
    guard values.count < outputs else { return values }
    try spend(outputs)
    return [Double](repeating: values[0], count: outputs)
  }
}

extension Step {
  /// The size of the rows it takes, where the step says it.
  fileprivate var width: Int? {
    switch action {
    case .dense(let weights, let isTransposed, _, _, _):
      weights.dims.count == 2 ? weights.dims[isTransposed ? 1 : 0] : nil
    case .shift(let constant, _), .factor(let constant, _): constant.count > 1 ? constant.count : nil
    case .scaler(let mean, let factor):
      max(mean.count, factor.count) > 1 ? max(mean.count, factor.count) : nil
    case .batchNorm(_, let constants), .layerNorm(_, let constants): constants[0].count
    case .activation, .residual, .complement, .flatten, .reshape, .nothing: nil
    }
  }
}
