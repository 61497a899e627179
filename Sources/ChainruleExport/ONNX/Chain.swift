import Chainrule
internal import ChainrulePlatform

/// Converts steps to layers, from the input on, and checks the sizes.
struct Chain {
  private let inputs: Int
  private var layers: [Layer] = []
  private var parameters: [LayerParameters<Double>] = []
  /// The weights of the layers that are unchanged in the file; others are in `parameters`.
  private var stored: [StoredWeights?] = []
  /// Whether parameters are stored in float64; `nil` if there are none.
  private(set) var isDouble: Bool?
  /// The current dimensions of a row.
  private var dims: [Int]
  /// For each tensor, the number of layers before it and the dimensions of its row.
  private var places: [String: (layers: Int, dims: [Int])] = [:]
  /// The tensors that residual sums use again.
  private let skips: Set<String>
  /// Whether the output of the last layer is one of these tensors.
  private var isSkipped = false
  /// The node of the last layer, and which operations can still become part of it.
  private var last: (node: Node, part: Part)?
  private var allowance: Int
  /// The number of rows if it is stated.
  private let batch: Int?

  /// The last layer, according to what can follow in it.
  private enum Part {
    /// x − mean, after which a factor can follow
    case shift
    /// x / deviation, after which a shift can follow
    case factor
    /// A dense layer that includes factors and can include a shift
    case scaledDense
    case whole
  }

  /// Creates the chain of a path's steps. At most `allowance` values may become parameters, because a small
  /// file could otherwise require a large amount of memory by using a tensor many times.
  init(_ path: Path, allowance: Int) throws {
    self.allowance = allowance
    batch = path.batch
    let dims = path.dims ?? [nil]
    let stated = dims.compactMap { $0 }
    if stated.count == dims.count {
      self.dims = stated
    } else if dims.count == 1, let width = path.steps.lazy.flatMap(\.actions).compactMap(\.width).first {
      self.dims = [width]
    } else {
      throw Unreadable("input \(quoted(path.input)): its number of features is not stated")
    }
    inputs = try Self.product(self.dims, path.input)
    skips = Set(
      path.steps.flatMap(\.actions).compactMap { action in
        if case .residual(let skip) = action { skip } else { nil }
      })
    note(path.input)
    for step in path.steps {
      for action in step.actions { try add(action, step.node) }
      note(step.output)
    }
  }

  /// The size of an output row.
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

  /// Returns the model, with the names that are known.
  func model<Scalar: NetworkScalar>(
    features: [String]?, targets: [String]?, classes: [String]?, columns: TableRows?
  ) throws -> Model<Scalar> {
    guard !layers.isEmpty else { throw Unreadable("the graph has no layer") }
    for (what, names, count) in [
      ("features", features, inputs), ("targets", targets, outputs), ("classes", classes, outputs),
    ] {
      guard let names else { continue }
      guard names.count == count else {
        throw Unreadable("there are \(names.count) names of \(what); expected \(count)")
      }
      var places: [Data: Int] = [:]
      for (place, name) in names.enumerated() {
        if let first = places.updateValue(place, forKey: Data(name.utf8)) {
          throw Unreadable(
            "the names of \(what) have \(quoted(name)) as number \(first + 1) and \(place + 1); expected each once"
          )
        }
      }
    }
    let network = try Network<Scalar>(inputs: inputs, layers: layers)
    for layer in layers.indices { try network.setParameters(parameters(ofLayer: layer), ofLayer: layer) }
    if features != nil || targets != nil || classes != nil {
      // Names are adopted from a data set; one row is enough.
      let target = [1] + [Scalar](repeating: 0, count: outputs - 1)
      try network.adoptNames(
        of: Dataset(
          features: [Scalar](repeating: 0, count: inputs), targets: target, rows: 1, inputs: inputs,
          outputs: outputs, featureNames: features, targetNames: targets, classLabels: classes))
    }
    if let columns { try columns.encode(network, classes: classes, areLabels: endsInSigmoids) }
    return Model(takingOver: network)
  }

  /// Returns the parameters of a layer in the model's type; throws for numbers that are finite only in
  /// float64.
  private func parameters<Scalar: NetworkScalar>(ofLayer layer: Int) throws -> LayerParameters<Scalar> {
    let exact = parameters[layer]
    var values = exact.converted(to: Scalar.self)
    if let stored = stored[layer] { values.weights = try stored.values() }
    guard Scalar.scalarType == .float32 else { return values }
    let all: [(String, [Scalar]?, [Double]?)] = [
      ("weights", values.weights, exact.weights), ("bias", values.bias, exact.bias),
      ("gamma", values.gamma, exact.gamma), ("beta", values.beta, exact.beta),
      ("mean", values.mean, exact.mean),
      ("variance", values.variance, exact.variance), ("deviation", values.deviation, exact.deviation),
    ]
    for case (let name, let numbers?, let exact?) in all {
      guard let index = numbers.firstIndex(where: { !$0.isFinite }) else { continue }
      let number = try exact.isEmpty ? stored[layer]!.values()[index] : exact[index]
      throw Unreadable(
        "layer \(layer + 1), \(name): value \(index + 1) is \(number), which float32 does not have; export the "
          + "model in float64")
    }
    return values
  }

  /// Reads the weights of a layer from the file, to change them.
  private mutating func takeWeights(ofLayer layer: Int) throws {
    guard let weights = stored[layer] else { return }
    parameters[layer].weights = try weights.values()
    stored[layer] = nil
  }

  // MARK: Steps

  private mutating func add(_ action: Step.Action, _ node: Node) throws {
    switch action {
    case .dense(let weights, let isTransposed, let bias, let alpha, let beta):
      try addDense(weights, isTransposed, bias, alpha, beta, node)
    case .activation(let activation): try addActivation(activation, node)
    case .shift(let constant, let sign):
      try addShift(try vector(constant, node).map { sign * $0 }, node)
    case .factor(let constant, let isInverse):
      let values = try vector(constant, node)
      if isInverse, let index = values.firstIndex(of: 0) {
        throw Unreadable(
          node,
          "it divides by \(quoted(constant.name)), of which value \(index + 1) is 0; expected another number")
      }
      try addFactors(isInverse ? nil : values, isInverse ? values : nil, constant.name, node)
    case .scaler(let mean, let factor):
      let (means, factors) = (try stretched(mean, "offset", node), try stretched(factor, "scale", node))
      if means.contains(where: { $0 != 0 }) { try addShift(means.map { -$0 }, node) }
      if factors.contains(where: { $0 != 1 }) { try addFactors(factors, nil, "scale", node) }
    case .batchNorm(let norm, let constants):
      var values = LayerParameters<Double>(inputs: try features(node), units: try features(node))
      values.gamma = try feature(constants[0], node)
      values.beta = try feature(constants[1], node)
      values.mean = try feature(constants[2], node)
      values.variance = try feature(constants[3], node)
      if let index = values.variance!.firstIndex(where: { $0 < 0 }) {
        throw Unreadable(
          node,
          "the variance \(quoted(constants[3].name)), value \(index + 1), is \(values.variance![index]); expected 0 or more"
        )
      }
      try append(.batchNorm(norm), node, values)
    case .layerNorm(let norm, let gamma, let beta):
      var values = LayerParameters<Double>(inputs: try features(node), units: try features(node))
      values.gamma = try gamma.map { try vector($0, node) } ?? [Double](repeating: 1, count: values.units)
      values.beta = try beta.map { try vector($0, node) } ?? [Double](repeating: 0, count: values.units)
      try append(.layerNorm(norm), node, values)
    case .residual(let skip):
      guard let place = places[skip], place.dims == dims else {
        throw Unreadable(node, "neither of its two inputs is the input of layers that end in the other")
      }
      if place.layers == layers.count { try append(.activation(.identity), node) }  // x + x
      try append(.residual(span: layers.count - place.layers), node)
    case .complement: try addComplement(node)
    case .sumOfOne:
      guard layers.last?.activation == .softmax else {
        throw Unreadable(
          node, "it divides a row by its sum, which no layer does; expected it to follow a softmax")
      }
    case .flatten: dims = [outputs]
    case .reshape(let shape): try reshape(shape, node)
    case .squeeze(let axes): try squeeze(axes, node)
    case .unsqueeze(let axes): try unsqueeze(axes, node)
    case .select(let axis, let indices, let isScalar): try select(axis, indices, isScalar, node)
    case .slice(let slices):
      for part in slices.parts {
        if part.axis == 1 {
          if part.takesAll(of: try features(node)) { continue }
          try spend(outputs)
          try select(1, part.indices(of: try features(node)).map { Int64($0) }, false, node)
        } else if !part.takesAll(of: batch ?? Int(Int32.max)) {
          throw Unreadable(node, "it takes some of the rows; expected it to take features of each")
        }
      }
    }
  }

  private mutating func append(
    _ layer: Layer, _ node: Node, _ values: LayerParameters<Double>? = nil, weights: StoredWeights? = nil,
    part: Part = .whole
  ) throws {
    guard layers.last?.activation != .softmax else {
      throw Unreadable(node, "it follows a softmax; expected the softmax to be last")
    }
    layers.append(layer)
    var standard = LayerParameters<Double>(inputs: outputs, units: outputs)
    if case .scaling(let scaling) = layer {
      (standard.mean, standard.deviation) = (scaling.mean, scaling.deviation)
    }
    parameters.append(values ?? standard)
    stored.append(weights)
    last = (node, part)
    isSkipped = false
  }

  /// Whether the operation of `node` can become part of the last layer: no other node uses that layer's
  /// output, and if Chainrule wrote both nodes, they belong to the same layer.
  private func joinsLast(_ node: Node) -> Bool {
    guard let last, !isSkipped else { return false }
    return last.node.layer == nil || node.layer == nil || last.node.layer == node.layer
  }

  private mutating func addDense(
    _ weights: Constant, _ isTransposed: Bool, _ bias: Constant?, _ alpha: Double, _ beta: Double,
    _ node: Node
  ) throws {
    let inputs = try features(node)
    guard weights.dims.count == 2, weights.count > 0, weights.dims.allSatisfy({ $0 <= Int32.max }) else {
      throw Unreadable(
        node,
        "the weights \(quoted(weights.name)) have the shape \(weights.dims); expected that of a matrix")
    }
    let (units, columns) = (weights.dims[isTransposed ? 0 : 1], weights.dims[isTransposed ? 1 : 0])
    guard columns == inputs else {
      throw Unreadable(
        node, "the weights \(quoted(weights.name)) are for \(columns) features; a row has \(inputs)")
    }
    var values = LayerParameters<Double>(inputs: inputs, units: units)
    try use(weights)
    try weights.checkNumbers()
    dims = [units]
    if let bias { values.bias = try vector(bias, node).map { beta == 1 ? $0 : beta * $0 } }
    try append(
      .dense(Dense(units, bias: bias != nil)), node, values,
      weights: StoredWeights(constant: weights, isTransposed: isTransposed, factor: alpha))
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

  /// Adds x + values: a scaling, or part of the previous layer.
  private mutating func addShift(_ values: [Double], _ node: Node) throws {
    if joinsLast(node), let part = last?.part {
      let index = layers.count - 1
      if part == .factor, case .scaling(var scaling) = layers[index] {
        // x / d + v = (x + v d) / d
        scaling.mean = zip(values, scaling.deviation).map { $0 == 0 ? 0 : -$0 * $1 }
        return replaceScaling(scaling)
      }
      if part == .scaledDense, case .dense(var dense) = layers[index], dense.activation == .identity {
        dense.bias = true
        parameters[index].bias = zip(parameters[index].bias ?? values.map { _ in 0 }, values).map { $0 + $1 }
        layers[index] = .dense(dense)
        return
      }
    }
    try append(
      .scaling(Scaling(mean: values.map { 0 - $0 }, deviation: values.map { _ in 1 })), node, part: .shift)
  }

  /// Adds x · factors, or x / deviation; the other is `nil`. If all are above 0 this is a scaling, together
  /// with a previous shift; otherwise it is part of the previous dense layer, or a dense layer with a
  /// diagonal matrix.
  private mutating func addFactors(
    _ factors: [Double]?, _ deviation: [Double]?, _ name: String, _ node: Node
  ) throws {
    let deviation = deviation ?? factors!.map { 1 / $0 }
    let index = layers.count - 1
    if deviation.allSatisfy({ $0 > 0 && $0.isFinite }) {
      if joinsLast(node), last?.part == .shift, case .scaling(var scaling) = layers[index] {
        scaling.deviation = deviation
        return replaceScaling(scaling)
      }
      let scaling = Scaling(mean: deviation.map { _ in 0 }, deviation: deviation)
      return try append(.scaling(scaling), node, part: .factor)
    }
    let factors = factors ?? deviation.map { 1 / $0 }
    if joinsLast(node), case .dense(let dense) = layers[index], dense.activation == .identity {
      let inputs = parameters[index].inputs
      try takeWeights(ofLayer: index)
      for unit in factors.indices {
        for place in unit * inputs..<(unit + 1) * inputs { parameters[index].weights[place] *= factors[unit] }
        parameters[index].bias?[unit] *= factors[unit]
      }
      last?.part = .scaledDense
      return
    }
    let count = try features(node)
    guard count * count <= allowance else {
      let place = factors.firstIndex { !($0 > 0) } ?? 0
      throw Unreadable(
        node,
        "it multiplies by \(quoted(name)), of which value \(place + 1) is \(factors[place]); expected numbers above 0, "
          + "or a dense layer before it")
    }
    try addDiagonal(factors, node)
  }

  private mutating func replaceScaling(_ scaling: Scaling) {
    let index = layers.count - 1
    layers[index] = .scaling(scaling)
    (parameters[index].mean, parameters[index].deviation) = (scaling.mean, scaling.deviation)
    last?.part = .whole
  }

  private mutating func addDiagonal(_ factors: [Double], _ node: Node) throws {
    let count = factors.count
    var values = LayerParameters<Double>(inputs: count, units: count)
    try spend(count * count)
    values.weights = [Double](repeating: 0, count: count * count)
    for unit in 0..<count { values.weights[unit * count + unit] = factors[unit] }
    try append(.dense(Dense(count, bias: false)), node, values, part: .scaledDense)
  }

  /// Selects some features of each row, in this order.
  private mutating func select(_ axis: Int64, _ indices: [Int64], _ isScalar: Bool, _ node: Node) throws {
    let count = try features(node)
    guard axis == 1 || axis == -1 else {
      throw Unreadable(node, "axis is \(axis), that of the rows; expected 1, that of the features")
    }
    let places = indices.map { Int($0 < 0 ? $0 &+ Int64(count) : $0) }
    guard !places.isEmpty, let wrong = zip(indices, places).first(where: { !(0..<count).contains($1) })?.0
    else {
      guard !places.isEmpty else { throw Unreadable(node, "it takes no feature; expected at least one") }
      try take(places, of: count, node)
      if isScalar { dims = [] }
      return
    }
    let place = wrong < 0 ? "\(wrong.magnitude) from the end" : "\(wrong.magnitude + 1)"
    throw Unreadable(node, "it takes feature \(place); a row has \(count)")
  }

  private mutating func take(_ places: [Int], of count: Int, _ node: Node) throws {
    guard places != Array(0..<count) else { return }
    let index = layers.count - 1
    if joinsLast(node), case .dense(var dense) = layers[index] {
      try takeWeights(ofLayer: index)
      let old = parameters[index]
      var rows = places.map { Array(old.weights[$0 * old.inputs..<($0 + 1) * old.inputs]) }
      var bias = old.bias.map { bias in places.map { bias[$0] } }
      if dense.activation == .softmax {
        // For two outputs, softmax(z)ₖ = σ(zₖ − zⱼ).
        guard count == 2, places.count == 1 else {
          throw Unreadable(
            node, "it takes some outputs of a softmax, which no layer does; expected all of them")
        }
        let other = 1 - places[0]
        rows[0] = zip(rows[0], old.weights[other * old.inputs..<(other + 1) * old.inputs]).map { $0 - $1 }
        if let all = old.bias { bias = [all[places[0]] - all[other]] }
        dense.activation = .sigmoid
      }
      try spend(places.count * old.inputs)
      dense.units = places.count
      dims = [places.count]
      layers[index] = .dense(dense)
      parameters[index] = LayerParameters(
        inputs: old.inputs, units: places.count, weights: rows.flatMap(\.self), bias: bias)
      return
    }
    let size = places.count.multipliedReportingOverflow(by: count)
    try spend(size.overflow ? .max : size.partialValue)
    var values = LayerParameters<Double>(inputs: count, units: places.count)
    values.weights = [Double](repeating: 0, count: places.count * count)
    for (unit, place) in places.enumerated() { values.weights[unit * count + place] = 1 }
    dims = [places.count]
    try append(.dense(Dense(places.count, bias: false)), node, values)
  }

  /// softmax([0, z]) = [1 − σ(z), σ(z)]
  private mutating func addComplement(_ node: Node) throws {
    guard joinsLast(node), case .dense(var dense) = layers[layers.count - 1], dense.units == 1,
      dense.activation == .sigmoid
    else { throw Unreadable(node, "expected it to follow a dense layer of one sigmoid") }
    try takeWeights(ofLayer: layers.count - 1)
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

  /// Changes the shape; valid if the rows do not change, or several dimensions become one.
  private mutating func reshape(_ shape: [Int64], _ node: Node) throws {
    let width = Int64(outputs)
    let isOfRows =
      shape.first == -1 || shape.first == 0 || (batch != nil && shape.first == batch.map { Int64($0) })
    switch shape.count {
    case 1 where isOfRows && width == 1: dims = []
    case 2 where isOfRows && (shape[1] == width || (shape[1] == -1 && shape[0] != -1)): dims = [outputs]
    case dims.count + 1 where isOfRows && shape.dropFirst().elementsEqual(dims.map { Int64($0) }): return
    default:
      throw Unreadable(
        node, "its shape is \(shape); expected [-1, \(width)], the features of a row in one dimension")
    }
  }

  /// Returns the positions, within the dimensions of a row, of axes that include the rows' axis.
  private func places(_ axes: [Int64], of rank: Int, _ node: Node) throws -> Set<Int> {
    let places = Set(axes.map { $0 < 0 ? $0 &+ Int64(rank + 1) : $0 })
    guard places.count == axes.count, places.allSatisfy({ $0 >= 1 && $0 <= rank }) else {
      throw Unreadable(node, "its axes are \(axes); expected those of a row, 1 to \(rank)")
    }
    return Set(places.map { Int($0) - 1 })
  }

  private mutating func squeeze(_ axes: [Int64]?, _ node: Node) throws {
    guard let axes else {
      dims.removeAll { $0 == 1 }
      return
    }
    let gone = try places(axes, of: dims.count, node)
    guard gone.allSatisfy({ dims[$0] == 1 }) else {
      throw Unreadable(node, "its axes are \(axes) of rows of the shape \(dims); expected those of size 1")
    }
    dims = dims.indices.filter { !gone.contains($0) }.map { dims[$0] }
  }

  private mutating func unsqueeze(_ axes: [Int64], _ node: Node) throws {
    guard axes.count < 10 else { throw Unreadable(node, "it has \(axes.count) axes; expected fewer than 10") }
    for place in try places(axes, of: dims.count + axes.count, node).sorted() { dims.insert(1, at: place) }
  }

  // MARK: Values

  /// Returns the number of features of a row, which must have one dimension.
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

  /// Records that a constant becomes parameters.
  private mutating func use(_ constant: Constant) throws {
    try spend(constant.count)
    isDouble = isDouble == true || constant.isDouble
  }

  private mutating func numbers(_ constant: Constant) throws -> [Double] {
    try use(constant)
    return try constant.numbers()
  }

  /// Returns one value per feature.
  private mutating func feature(_ constant: Constant, _ node: Node) throws -> [Double] {
    guard constant.dims == dims else {
      throw Unreadable(node, "\(quoted(constant.name)) has the shape \(constant.dims); expected \(dims)")
    }
    return try numbers(constant)
  }

  /// Returns one value per feature; a single value is repeated for all.
  private mutating func vector(_ constant: Constant, _ node: Node) throws -> [Double] {
    guard constant.count == 1 || constant.trimmedDims == Array(dims.drop { $0 == 1 }) else {
      throw Unreadable(
        node, "\(quoted(constant.name)) has the shape \(constant.dims); expected \(dims) or one number")
    }
    return try stretched(numbers(constant), constant.name, node)
  }

  /// Whether the outputs are independent sigmoids, not complements of each other.
  var endsInSigmoids: Bool { outputs > 1 && layers.last?.activation == .sigmoid }

  private mutating func stretched(_ values: [Double], _ name: String, _ node: Node) throws -> [Double] {
    guard values.count == outputs || values.count == 1 else {
      throw Unreadable(node, "\(quoted(name)) has \(values.count) values; expected \(outputs) or 1")
    }
    guard values.count < outputs else { return values }
    try spend(outputs)
    return [Double](repeating: values[0], count: outputs)
  }
}

/// The weights of a dense layer in the file.
private struct StoredWeights {
  let constant: Constant
  /// Whether the matrix is [units, inputs]; otherwise it is [inputs, units].
  let isTransposed: Bool
  /// The factor of the weights.
  let factor: Double

  /// Returns W, [units][inputs].
  func values<Scalar: NetworkScalar>() throws -> [Scalar] {
    let (count, columns) = (constant.count, constant.dims[1])
    return try constant.withValues { value in
      [Scalar](unsafeUninitializedCapacity: count) { w, initialized in
        var k = 0
        for row in 0..<constant.dims[0] {
          for column in 0..<columns {
            let place = isTransposed ? k : column * constant.dims[0] + row
            w.initializeElement(at: place, to: Scalar(factor * value(k)))
            k += 1
          }
        }
        initialized = count
      }
    }
  }
}

extension Step.Action {
  /// The size of the rows that the step accepts, if the step determines it.
  fileprivate var width: Int? {
    switch self {
    case .dense(let weights, let isTransposed, _, _, _):
      weights.dims.count == 2 ? weights.dims[isTransposed ? 1 : 0] : nil
    case .shift(let constant, _), .factor(let constant, _): constant.count > 1 ? constant.count : nil
    case .scaler(let mean, let factor):
      max(mean.count, factor.count) > 1 ? max(mean.count, factor.count) : nil
    case .batchNorm(_, let constants): constants[0].count
    case .layerNorm(_, let gamma, _): gamma?.count
    default: nil
    }
  }
}
