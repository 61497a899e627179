import Chainrule
internal import SwiftProtobuf

// Converts nodes to steps, the operations on the rows. Each operator, and each formula that exporters write
// with several nodes, has one rule. Operations without a layer in Chainrule become several steps with the
// same result.

/// The operation of one or several nodes on the rows they receive.
struct Step {
  enum Action {
    /// z = W x + b, W as [units, inputs] if `isTransposed`, else as [inputs, units]
    case dense(weights: Constant, isTransposed: Bool, bias: Constant?, alpha: Double, beta: Double)
    case activation(Activation)
    /// x + values, or x − values
    case shift(Constant, sign: Double)
    /// x · values, or x / values
    case factor(Constant, isInverse: Bool)
    /// (x − mean) · factor, with one number or one per feature
    case scaler(mean: [Double], factor: [Double])
    case batchNorm(BatchNorm, [Constant])
    /// γ and β, each `nil` if missing
    case layerNorm(LayerNorm, gamma: Constant?, beta: Constant?)
    /// x + the tensor `skip`
    case residual(skip: String)
    /// From σ(z), one number per row, to 1 − σ(z) and σ(z): the softmax of 0 and z
    case complement
    /// x divided by its sum, which is 1
    case sumOfOne
    /// Merges the dimensions of a row into one
    case flatten
    /// Changes the dimensions to `dims`, where 0 and −1 have the meaning they have in Reshape
    case reshape(dims: [Int64])
    /// Removes these dimensions of size 1; `nil`: all of them
    case squeeze(axes: [Int64]?)
    case unsqueeze(axes: [Int64])
    /// Selects these features; `isScalar`: a single one, whose dimension is removed
    case select(axis: Int64, indices: [Int64], isScalar: Bool)
    case slice(Slices)
  }

  var actions: [Action]
  /// The node for messages
  var node: Node
  /// The names of the tensors before and after the step
  var input, output: String
}

extension Graph {
  /// Returns the operation of the last nodes before the output of `node`.
  ///
  /// - Throws: `Unreadable` with the node's name for an operation that no layer performs.
  func step(of node: Node) throws -> Step {
    if let step = try stepOfFormula(node) { return step }
    guard let rule = Self.rules[node.type] else { throw Unreadable(node, "the operator is not supported") }
    return try rule(self, node)
  }

  private typealias Rule = @Sendable (Graph, Node) throws -> Step

  private static let rules: [String: Rule] = {
    var rules: [String: Rule] = [:]
    func add(_ types: String..., rule: @escaping Rule) {
      for type in types { rules[type] = rule }
    }
    add("Gemm", rule: { try $0.gemm($1) })
    add("MatMul", rule: { try $0.matMul($1) })
    add("Add", "Sub", "Mul", "Div", "Sum", rule: { try $0.arithmetic($1) })
    add("Max", "Min", rule: { try $0.limit($1) })
    add("Clip", rule: { try $0.clip($1) })
    for (type, activation) in plainActivations { add(type) { try $0.plain(activation, $1) } }
    add("LeakyRelu", "PRelu", "Abs", rule: { try $0.sloped($1) })
    add("Elu", "Selu", "Celu", "HardSigmoid", "Swish", "Gelu", rule: { try $0.parametric($1) })
    add("Softmax", "LogSoftmax", rule: { try $0.softmax($1) })
    add("BatchNormalization", rule: { try $0.batchNormalization($1) })
    add("LayerNormalization", rule: { try $0.layerNormalization($1) })
    add("Neg") { try $0.step($1, [.scaler(mean: [0], factor: [-1])]) }
    add("Identity") { try $0.step($1, $1.layer == nil ? [] : [.activation(.identity)]) }
    add("ai.onnx.ml.ZipMap") { try $0.step($1, []) }
    add("Dropout", rule: { try $0.dropout($1) })
    add("Cast", rule: { try $0.cast($1) })
    add("Flatten", "Reshape", "Squeeze", "Unsqueeze", rule: { try $0.shaped($1) })
    add("Gather", "Slice", "ai.onnx.ml.ArrayFeatureExtractor", rule: { try $0.selected($1) })
    add("Concat", rule: { try $0.complement($1) })
    add("ai.onnx.ml.Scaler", rule: { try $0.scaler($1) })
    add("ai.onnx.ml.LinearRegressor", "ai.onnx.ml.LinearClassifier", rule: { try $0.linear($1) })
    add("ai.onnx.ml.Normalizer", rule: { try $0.normalizer($1) })
    return rules
  }()

  private static let plainActivations: [(String, Activation)] = [
    ("Relu", .relu), ("Sigmoid", .sigmoid), ("Tanh", .tanh), ("Softplus", .softplus), ("Softsign", .softsign),
    ("Mish", .mish),
  ]

  // MARK: Inputs

  func step(_ node: Node, _ actions: [Step.Action], of name: String? = nil) throws -> Step {
    Step(actions: actions, node: node, input: try name ?? computed(node), output: node.result)
  }

  /// Returns the name of an input that is computed; throws for a constant one.
  func computed(_ node: Node, _ position: Int = 0) throws -> String {
    guard let name = node.input(position) else {
      throw Unreadable(node, "it has no input \(position + 1)")
    }
    guard constants[name] == nil else {
      throw Unreadable(node, "input \(position + 1), \(quoted(name)), is constant; expected the rows")
    }
    return name
  }

  func constant(_ node: Node, _ position: Int) throws -> Constant {
    guard let name = node.input(position) else { throw Unreadable(node, "it has no input \(position + 1)") }
    guard let constant = constants[name] else {
      throw Unreadable(node, "input \(position + 1), \(quoted(name)), is computed; expected a constant")
    }
    return constant
  }

  /// Returns the integers of an input, or of the attribute that old graphs have instead; `nil` if there are
  /// none.
  func integers(_ node: Node, _ position: Int, _ attribute: String) throws -> [Int64]? {
    guard node.input(position) == nil else { return try constant(node, position).integers() }
    return node.proto.attribute.first { $0.name == attribute }?.ints
  }

  /// Returns the double that a float32 was most likely rounded from: the value of its shortest decimal.
  func decimal(_ value: Float) -> Double { Double("\(value)") ?? Double(value) }

  // MARK: Products and sums

  private func gemm(_ node: Node) throws -> Step {
    let attributes = try Attributes(of: node, "alpha", "beta", "transA", "transB")
    try attributes.expectInteger("transA", 0, default: 0)
    let isTransposed = try attributes.integer("transB") ?? 0
    guard isTransposed == 0 || isTransposed == 1 else {
      throw Unreadable(node, "transB is \(isTransposed); expected 0 or 1")
    }
    let dense = Step.Action.dense(
      weights: try constant(node, 1), isTransposed: isTransposed == 1,
      bias: node.input(2) == nil ? nil : try constant(node, 2),
      alpha: Double(try attributes.float("alpha") ?? 1), beta: Double(try attributes.float("beta") ?? 1))
    return try step(node, [dense])
  }

  private func matMul(_ node: Node) throws -> Step {
    _ = try Attributes(of: node)
    let weights = try constant(node, 1)
    guard weights.dims.count == 1 else {
      return try step(node, [.dense(weights: weights, isTransposed: false, bias: nil, alpha: 1, beta: 0)])
    }
    // A vector removes the last dimension.
    let row = Constant(weights.name, weights.type, [1, weights.count], try weights.values())
    let dense = Step.Action.dense(weights: row, isTransposed: true, bias: nil, alpha: 1, beta: 0)
    return try step(node, [dense, .squeeze(axes: [-1])])
  }

  /// A bias after a product, a scaling by constants, or the sum of a residual block.
  private func arithmetic(_ node: Node) throws -> Step {
    _ = try Attributes(of: node)
    guard let left = node.input(0), let right = node.input(1), node.proto.input.count == 2 else {
      throw Unreadable(node, "it has \(node.proto.input.count) inputs; expected 2")
    }
    let type = node.type == "Sum" ? "Add" : node.type
    switch (constants[left], constants[right], type) {
    case (nil, let values?, "Add"), (let values?, nil, "Add"):
      let x = constants[left] == nil ? left : right
      // A product without a bias includes this sum as its bias.
      if let product = producers[x], ["MatMul", "Gemm"].contains(product.type), product.input(2) == nil,
        values.dims.count <= 2,
        case let before = try step(of: product), before.actions.count == 1,
        case .dense(let weights, let isTransposed, nil, let alpha, _) = before.actions[0]
      {
        let dense = Step.Action.dense(
          weights: weights, isTransposed: isTransposed, bias: values, alpha: alpha, beta: 1)
        return try step(node, [dense], of: before.input)
      }
      return try step(node, [.shift(values, sign: 1)], of: x)
    case (nil, let values?, "Sub"): return try step(node, [.shift(values, sign: -1)], of: left)
    case (let values?, nil, "Sub"):
      return try step(node, [.scaler(mean: [0], factor: [-1]), .shift(values, sign: 1)], of: right)
    case (nil, let values?, "Mul"): return try step(node, [.factor(values, isInverse: false)], of: left)
    case (let values?, nil, "Mul"): return try step(node, [.factor(values, isInverse: false)], of: right)
    case (nil, let values?, "Div"): return try step(node, [.factor(values, isInverse: true)], of: left)
    case (nil, nil, "Add"):
      // The block of the sum ends in the one of the two that is computed later.
      let (a, b) = (passed(left), passed(right))
      let isLeftLater = (producers[a]?.index ?? -1) >= (producers[b]?.index ?? -1)
      return try step(node, [.residual(skip: isLeftLater ? b : a)], of: isLeftLater ? left : right)
    case (nil, nil, _):
      if left != right, input(named: left) != nil, input(named: right) != nil {
        throw Unreadable(node, "it takes input \(quoted(left)) and input \(quoted(right)); expected one")
      }
      throw Unreadable(node, "it combines two computed tensors; this is not an activation of Chainrule")
    case (_?, nil, _): throw Unreadable(node, "its first input is constant; expected the second to be")
    default: throw Unreadable(node, "its inputs are constant; expected the rows")
    }
  }

  // MARK: Activations

  private func plain(_ activation: Activation, _ node: Node) throws -> Step {
    _ = try Attributes(of: node)
    return try step(node, [.activation(activation)])
  }

  /// x for x > 0, else slope · x
  private func sloped(_ node: Node) throws -> Step {
    let slopes: [Double]
    switch node.type {
    case "LeakyRelu": slopes = [decimal(try Attributes(of: node, "alpha").float("alpha") ?? 0.01)]
    case "Abs":
      _ = try Attributes(of: node)
      slopes = [-1]
    default:
      _ = try Attributes(of: node)
      let constant = try constant(node, 1)
      guard constant.count == 1 || constant.trimmedDims.count == 1 else {
        throw Unreadable(
          node,
          "the slopes \(quoted(constant.name)) have the shape \(constant.dims); expected one per feature")
      }
      slopes = try constant.numbers().map { decimal(Float($0)) }
    }
    return try step(node, Self.sloped(slopes, computed(node), node))
  }

  /// k x + (1 − k) relu(x) as layers: k (x + (1 − k)/k relu(x)), a residual block.
  static func sloped(_ slopes: [Double], _ x: String, _ node: Node) throws -> [Step.Action] {
    if slopes.allSatisfy({ isClose($0, 0.01) }) { return [.activation(.leakyReLU)] }
    if slopes.allSatisfy({ $0 == 0 }) { return [.activation(.relu)] }
    if slopes.allSatisfy({ $0 == 1 }) { return [.activation(.identity)] }
    if let index = slopes.firstIndex(of: 0) {
      throw Unreadable(
        node, "slope \(index + 1) is 0 and others are not, which no layers do; expected all or none to be 0")
    }
    return [
      .activation(.relu), .scaler(mean: [0], factor: slopes.map { (1 - $0) / $0 }), .residual(skip: x),
      .scaler(mean: [0], factor: slopes),
    ]
  }

  private func clip(_ node: Node) throws -> Step {
    let attributes = try Attributes(of: node, "min", "max")
    func limit(_ name: String, _ position: Int) throws -> Double? {
      if let value = try attributes.float(name) { return decimal(value) }
      guard node.input(position) != nil else { return nil }
      let constant = try constant(node, position)
      guard constant.count == 1 else {
        throw Unreadable(
          node, "its \(name) \(quoted(constant.name)) has the shape \(constant.dims); expected one number")
      }
      return try constant.values()[0]
    }
    return try step(node, Self.limited(limit("min", 1), limit("max", 2), node))
  }

  /// Max or Min of the rows and one number.
  private func limit(_ node: Node) throws -> Step {
    _ = try Attributes(of: node)
    let inputs = node.proto.input
    guard inputs.count == 2, let place = inputs.firstIndex(where: { constants[$0] == nil }),
      let limit = number(inputs[1 - place]) ?? equalNumbers(inputs[1 - place])
    else {
      throw Unreadable(node, "expected the rows and one number; this is not an activation of Chainrule")
    }
    let isLow = node.type == "Max"
    return try step(node, Self.limited(isLow ? limit : nil, isLow ? nil : limit, node), of: inputs[place])
  }

  /// Returns the number of which all values of a tensor are copies; `nil` if they differ.
  func equalNumbers(_ name: String) -> Double? {
    guard let constant = constants[name], constant.trimmedDims.count <= 1,
      let values = try? constant.numbers(),
      let first = values.first, values.allSatisfy({ $0 == first })
    else { return nil }
    return first
  }

  /// min(max(x, low), high) as layers: hardTanh between scalings, or relu.
  private static func limited(_ low: Double?, _ high: Double?, _ node: Node) throws -> [Step.Action] {
    // The largest float32 is not a limit.
    let low = low.flatMap { $0 <= -3.4e38 ? nil : $0 }
    let high = high.flatMap { $0 >= 3.4e38 ? nil : $0 }
    if low?.isNaN == true || high?.isNaN == true {
      throw Unreadable(node, "a limit is nan; expected a number")
    }
    switch (low, high) {
    case (nil, nil): return []
    case (0, nil): return [.activation(.relu)]
    case (let low?, nil):
      return [.scaler(mean: [low], factor: [1]), .activation(.relu), .scaler(mean: [-low], factor: [1])]
    case (nil, let high?):
      return [.scaler(mean: [high], factor: [-1]), .activation(.relu), .scaler(mean: [high], factor: [-1])]
    case (-1, 1): return [.activation(.hardTanh)]
    case (let low?, let high?):
      guard low < high else {
        throw Unreadable(
          node, "its limits are \(Float(low)) and \(Float(high)); expected the second to be larger")
      }
      let (middle, half) = ((low + high) / 2, (high - low) / 2)
      return [
        .scaler(mean: [middle], factor: [1 / half]), .activation(.hardTanh),
        .scaler(mean: [-middle / half], factor: [half]),
      ]
    }
  }

  /// Operators with numeric attributes. Those without a matching activation become scalings around an
  /// existing one.
  private func parametric(_ node: Node) throws -> Step {
    func scaled(_ factor: Double, _ activation: Activation) -> [Step.Action] {
      factor == 1
        ? [.activation(activation)]
        : [
          .scaler(mean: [0], factor: [factor]), .activation(activation),
          .scaler(mean: [0], factor: [1 / factor]),
        ]
    }
    func positive(_ name: String, _ value: Float) throws -> Double {
      guard value > 0 else { throw Unreadable(node, "\(name) is \(value); expected a number above 0") }
      return decimal(value)
    }
    switch node.type {
    case "Elu":
      try Attributes(of: node, "alpha").expect("alpha", 1, default: 1)
      return try step(node, [.activation(.elu)])
    case "Selu":
      let attributes = try Attributes(of: node, "alpha", "gamma")
      // The defaults of opset 6 are rounded.
      try attributes.expect("alpha", 1.6732632, default: 1.6732632)
      try attributes.expect("gamma", 1.0507010, default: 1.0507010)
      return try step(node, [.activation(.selu)])
    case "Celu":  // α elu(x / α)
      let alpha = try positive("alpha", try Attributes(of: node, "alpha").float("alpha") ?? 1)
      return try step(node, scaled(1 / alpha, .elu))
    case "Swish":  // silu(α x) / α
      let alpha = try positive("alpha", try Attributes(of: node, "alpha").float("alpha") ?? 1)
      return try step(node, scaled(alpha, .silu))
    case "HardSigmoid":
      let attributes = try Attributes(of: node, "alpha", "beta")
      let alpha = try positive("alpha", try attributes.float("alpha") ?? 0.2)
      let beta = decimal(try attributes.float("beta") ?? 0.5)
      if isClose(alpha, 1 / 6), beta == 0.5 { return try step(node, [.activation(.hardSigmoid)]) }
      return try step(
        node, [.scaler(mean: [-beta / alpha], factor: [alpha])] + Self.limited(0, 1, node))
    default:
      let approximate = try Attributes(of: node, "approximate").string("approximate") ?? "none"
      guard let kind: Activation = ["none": .gelu, "tanh": .geluTanh][approximate] else {
        throw Unreadable(node, "approximate is \(quoted(approximate)); expected \"none\" or \"tanh\"")
      }
      return try step(node, [.activation(kind)])
    }
  }

  private func softmax(_ node: Node) throws -> Step {
    let axis = try Attributes(of: node, "axis").integer("axis") ?? -1
    guard axis == -1 || axis == 1 else { throw Unreadable(node, "axis is \(axis); expected -1 or 1") }
    return try step(node, [.activation(.softmax)])
  }

  // MARK: Normalisations

  private func batchNormalization(_ node: Node) throws -> Step {
    let attributes = try Attributes(of: node, "epsilon", "momentum", "training_mode", "spatial")
    try attributes.expectInteger("training_mode", 0, default: 0)
    try attributes.expectInteger("spatial", 1, default: 1)
    let norm = BatchNorm(
      momentum: Self.momentum(try attributes.float("momentum") ?? 0.9),
      epsilon: decimal(try attributes.float("epsilon") ?? 1e-5))
    return try step(node, [.batchNorm(norm, (1...4).map { try constant(node, $0) })])
  }

  /// Returns the weight of a batch in running statistics from ONNX's momentum, which is the fraction that is
  /// kept; it has no effect on predictions. 1 − 0.9 in float32 is 0.1 to its seven digits.
  private static func momentum(_ kept: Float) -> Double {
    let share = ((1 - Double(kept)) * 1e7).rounded() / 1e7
    return share > 0 && share <= 1 ? share : BatchNorm().momentum
  }

  private func layerNormalization(_ node: Node) throws -> Step {
    let attributes = try Attributes(of: node, "axis", "epsilon", "stash_type")
    let axis = try attributes.integer("axis") ?? -1
    guard axis == -1 || axis == 1 else { throw Unreadable(node, "axis is \(axis); expected -1 or 1") }
    let norm = LayerNorm(epsilon: decimal(try attributes.float("epsilon") ?? 1e-5))
    let beta = node.input(2) == nil ? nil : try constant(node, 2)
    return try step(node, [.layerNorm(norm, gamma: constant(node, 1), beta: beta)])
  }

  // MARK: Operators that change no number

  private func dropout(_ node: Node) throws -> Step {
    _ = try Attributes(of: node, "ratio", "seed")
    if let mode = node.input(2) {
      guard let training = constants[mode], try training.values().allSatisfy({ $0 == 0 }) else {
        throw Unreadable(node, "it drops in prediction too; expected training_mode false")
      }
    }
    return try step(node, [])
  }

  private func cast(_ node: Node) throws -> Step {
    let number = try Attributes(of: node, "to", "saturate", "round_mode").integer("to") ?? 0
    let type = ElementType(rawValue: Int(clamping: number))
    let x = try computed(node)
    // Integers keep their values in a wider type.
    let source = input(named: passed(x))?.type
    let keepsIntegers = source?.isInteger == true && (type == .int64 || type == .int32 || type == source)
    guard type?.isReal == true || keepsIntegers else {
      throw Unreadable(
        node, "it casts to \(ElementType.name(Int32(clamping: number))); expected FLOAT or DOUBLE")
    }
    return try step(node, [])
  }

  private func shaped(_ node: Node) throws -> Step {
    switch node.type {
    case "Flatten":
      try Attributes(of: node, "axis").expectInteger("axis", 1, default: 1)
      return try step(node, [.flatten])
    case "Squeeze":
      _ = try Attributes(of: node, "axes")
      return try step(node, [.squeeze(axes: integers(node, 1, "axes"))])
    case "Unsqueeze":
      _ = try Attributes(of: node, "axes")
      return try step(node, [.unsqueeze(axes: integers(node, 1, "axes") ?? [])])
    default:
      let allowsZero = try Attributes(of: node, "allowzero", "shape").integer("allowzero") ?? 0
      let constant = node.input(1) == nil ? nil : try self.constant(node, 1)
      var dims = try constant?.integers() ?? integers(node, 1, "shape") ?? []
      guard allowsZero == 0 || !dims.contains(0) else {
        throw Unreadable(node, "its shape is \(dims); a size of 0 leaves no rows")
      }
      if constant?.areSizes == true {
        for (place, size) in dims.enumerated() {
          if Double(size) == Constant.batchSize, place == 0 { dims[0] = 0 }
          if Double(size) == Constant.unknownSize, !dims.contains(-1) { dims[place] = -1 }
        }
        guard dims.allSatisfy({ $0 >= -1 }) else {
          throw Unreadable(node, "its shape is computed of sizes that are not stated")
        }
      }
      return try step(node, [.reshape(dims: dims)])
    }
  }

  private func selected(_ node: Node) throws -> Step {
    switch node.type {
    case "Slice":
      // The rows are [batch, features]; the dimensions of other tensors are checked later.
      _ = try Attributes(of: node, "axes", "starts", "ends")
      guard let slices = try Slices(node, 2, { try integers(node, $0, $1) }) else {
        throw Unreadable(node, "expected starts and ends of rows in one dimension, and steps above 0")
      }
      return try step(node, [.slice(slices)])
    case "Gather":
      let axis = try Attributes(of: node, "axis").integer("axis") ?? 0
      let indices = try constant(node, 1)
      return try step(
        node, [.select(axis: axis, indices: indices.integers(), isScalar: indices.dims.isEmpty)])
    default:
      return try step(
        node, [.select(axis: -1, indices: constant(node, 1).integers(), isScalar: false)])
    }
  }

  /// [1 − p, p], as for a classifier of two classes
  private func complement(_ node: Node) throws -> Step {
    let axis = try Attributes(of: node, "axis").integer("axis") ?? 1
    let inputs = node.proto.input
    guard inputs.count == 2, axis == 1 || axis == -1, let other = producers[passed(inputs[0])],
      other.type == "Sub",
      number(other.input(0)) == 1, let p = other.input(1), passed(p) == passed(inputs[1])
    else { throw Unreadable(node, "expected it to join 1 - p and p of one sigmoid p") }
    return try step(node, [.complement], of: passed(p))
  }

  // MARK: ai.onnx.ml

  private func scaler(_ node: Node) throws -> Step {
    let attributes = try Attributes(of: node, "offset", "scale")
    func values(_ name: String) throws -> [Double] {
      let values = attributes.floats(name)
      if let index = values.firstIndex(where: { !$0.isFinite }) {
        throw Unreadable(node, "\(name) \(index + 1) is \(values[index]); expected a finite number")
      }
      return values.map { Double($0) }
    }
    return try step(node, [.scaler(mean: values("offset"), factor: values("scale"))])
  }

  /// A linear model: scores = W x + b, then an activation.
  private func linear(_ node: Node) throws -> Step {
    let attributes = try Attributes(
      of: node, "coefficients", "intercepts", "post_transform", "targets", "multi_class", "classlabels_ints",
      "classlabels_strings")
    var (weights, bias) = (
      attributes.floats("coefficients").map { Double($0) }, attributes.floats("intercepts").map { Double($0) }
    )
    let classes = try classLabels(of: node)?.count
    var units = Int(clamping: try attributes.integer("targets") ?? 1)
    if node.isClassifier { units = bias.isEmpty ? classes ?? 0 : bias.count }
    guard units > 0, !weights.isEmpty, weights.count % units == 0, bias.isEmpty || bias.count == units else {
      throw Unreadable(
        node, "it has \(weights.count) coefficients and \(bias.count) intercepts for \(units) outputs")
    }
    if bias.isEmpty { bias = [Double](repeating: 0, count: units) }
    let inputs = weights.count / units
    let transform = attributes.string("post_transform") ?? "NONE"
    var activation: Activation
    switch transform {
    case "NONE": activation = .identity
    case "LOGISTIC": activation = .sigmoid
    case "SOFTMAX": activation = .softmax
    default:
      throw Unreadable(
        node, "post_transform is \(quoted(transform)); expected NONE, LOGISTIC or SOFTMAX")
    }
    if node.isClassifier, activation == .sigmoid, classes == 2 {
      // For two classes [σ(−z), σ(z)] is the softmax of 0 and z.
      let (first, last) = (weights.prefix(inputs), weights.suffix(inputs))
      let isOpposite = units == 2 && zip(first, last).allSatisfy { $0 == -$1 } && bias[0] == -bias[1]
      if units == 1 || isOpposite {
        weights = [Double](repeating: 0, count: inputs) + last
        bias = [0, bias[units - 1]]
        (units, activation) = (2, .softmax)
      }
    }
    guard !node.isClassifier || units == classes else {
      throw Unreadable(node, "it has \(units) scores for \(classes ?? 0) classes; expected one per class")
    }
    let name = node.description
    return try step(
      node,
      [
        .dense(
          weights: Constant(name, .float, [units, inputs], weights), isTransposed: true,
          bias: Constant(name, .float, [units], bias), alpha: 1, beta: 1), .activation(activation),
      ])
  }

  private func normalizer(_ node: Node) throws -> Step {
    let norm = try Attributes(of: node, "norm").string("norm") ?? "MAX"
    guard norm == "L1" else {
      throw Unreadable(node, "it divides a row by its norm \(quoted(norm)), which no layer of Chainrule does")
    }
    return try step(node, [.sumOfOne])
  }

  /// Returns the names of the classes in a node of ai.onnx.ml.
  func classLabels(of node: Node) throws -> [String]? {
    let kinds = node.isClassifier ? "classlabels_ints" : "classlabels_int64s"
    let attribute = { name in node.proto.attribute.first { $0.name == name } }
    if let strings = attribute("classlabels_strings")?.strings, !strings.isEmpty {
      return strings.map { String(decoding: $0, as: UTF8.self) }
    }
    return attribute(kinds)?.ints.map { "\($0)" }
  }
}

extension Node {
  /// The output with the numbers.
  var result: String { isClassifier && proto.output.count > 1 ? proto.output[1] : output }
}
