internal import ChainrulePlatform
internal import SwiftProtobuf

// The constant folder: nodes whose inputs are all known become constants. Later passes then see the weights
// that a graph computes from others (a transposed matrix, weight normalisation), and the shapes that it
// computes with Shape.

extension Graph {
  /// Replaces constant nodes by their values. A node that the folder does not support stays.
  mutating func fold() throws {
    // The row dimensions of computed tensors, as far as they are known.
    var dims: [String: [Int?]] = [:]
    for input in inputs { dims[input.name] = input.dims }
    var kept: [Node] = []
    for node in nodes {
      if let constant = try folded(node, dims) {
        allowance -= min(constant.count, allowance + 1)
        guard allowance >= 0 else {
          throw Unreadable(node, "its output and those before have many more values than the file")
        }
        constants[node.output] = constant
        for name in node.proto.output { producers[name] = nil }
      } else {
        kept.append(node)
        if let row = rowDims(after: node, dims) { dims[node.output] = row }
      }
    }
    nodes = kept
  }

  private func folded(_ node: Node, _ dims: [String: [Int?]]) throws -> Constant? {
    guard node.proto.output.count == 1, !node.output.isEmpty, let first = node.input(0) else { return nil }
    if node.type == "Shape", constants[first] == nil {
      guard let row = dims[passed(first)] ?? dims[first] else { return nil }
      let attributes = try Attributes(of: node, "start", "end")
      let batch = input(named: passed(first))?.batch.map { Double($0) }
      let sizes = [batch ?? Constant.batchSize] + row.map { $0.map { Double($0) } ?? Constant.unknownSize }
      let range = Self.range(
        try attributes.integer("start") ?? 0, try attributes.integer("end") ?? .max, of: sizes.count)
      return Constant(node.output, .int64, [range.count], Array(sizes[range]), areSizes: true)
    }
    var operands: [Constant?] = []
    for name in node.proto.input {
      guard !name.isEmpty else {
        operands.append(nil)
        continue
      }
      // Without zeros, the product of some dimensions is at most that of all, and does not overflow.
      guard let constant = constants[name], constant.type.isNumber, constant.count > 0 else { return nil }
      operands.append(constant)
    }
    return try Folding(node: node, operands: operands, bytes: bytes).value(limit: allowance)
  }

  /// Returns the result of a Reshape of `dims` to `shape`; `nil` if it is invalid.
  static func resolve(_ shape: [Int64], of dims: [Int]) -> [Int]? {
    var sizes: [Int] = []
    for (axis, size) in shape.enumerated() {
      guard size >= -1, size != 0 || axis < dims.count else { return nil }
      sizes.append(size == 0 ? dims[axis] : Int(size))
    }
    guard let count = product(dims), let known = product(sizes.filter { $0 != -1 }) else { return nil }
    guard let unknown = sizes.firstIndex(of: -1) else { return known == count ? sizes : nil }
    guard known > 0, count % known == 0, sizes.filter({ $0 == -1 }).count == 1 else { return nil }
    sizes[unknown] = count / known
    return sizes
  }

  static func product(_ sizes: [Int]) -> Int? {
    var product = 1
    for size in sizes {
      let next = product.multipliedReportingOverflow(by: size)
      guard !next.overflow else { return nil }
      product = next.partialValue
    }
    return product
  }

  /// Returns the indices from `start` to `end` of an axis of `count`, as in Slice: negative ones count from
  /// the end.
  static func range(_ start: Int64, _ end: Int64, of count: Int) -> Range<Int> {
    func bounded(_ place: Int64) -> Int {
      let fromStart = place < 0 ? place.addingReportingOverflow(Int64(count)).partialValue : place
      return Int(min(max(fromStart, 0), Int64(count)))
    }
    let (first, last) = (bounded(start), bounded(end))
    return first..<max(first, last)
  }

  /// Returns the row dimensions after a node, for a few operators; `nil` if they are not known.
  private func rowDims(after node: Node, _ dims: [String: [Int?]]) -> [Int?]? {
    let computed = node.proto.input.first { !$0.isEmpty && constants[$0] == nil }
    guard let row = computed.flatMap({ dims[$0] }) else { return nil }
    let operand = node.proto.input.lazy.compactMap { constants[$0] }.first
    switch node.type {
    case "Gemm", "MatMul":
      guard let weights = operand?.dims, weights.count == 2 else { return nil }
      let isTransposed = node.proto.attribute.contains { $0.name == "transB" && $0.i == 1 }
      return Array(row.dropLast()) + [weights[isTransposed ? 0 : 1]]
    case "Flatten":
      return row.contains(nil)
        ? [nil] : [row.reduce(1) { $0.multipliedReportingOverflow(by: $1!).partialValue }]
    case "Reshape":
      guard let shape = try? operand?.integers() else { return nil }
      return shape.dropFirst().map { $0 > 0 ? Int($0) : nil }
    case "Add", "Sub", "Mul", "Div", "Max", "Min", "Where", "PRelu", "Pow":
      return operand == nil || operand!.trimmedDims.count <= row.count ? row : nil
    case "Shape", "Transpose", "Concat", "Slice", "Gather", "Squeeze", "Unsqueeze", "Split", "Conv", "Expand":
      return nil
    default:
      return node.proto.input.count == 1 || ["Clip", "Dropout"].contains(node.type)
        || node.type.hasSuffix("Normalization") ? row : nil
    }
  }
}

/// A node and the values of its inputs.
private struct Folding {
  let node: Node
  /// The values; `nil` for an omitted input.
  let operands: [Constant?]
  let bytes: TensorBytes

  /// Returns the value of the node's output; `nil` if this operator is not supported, or its operands do not
  /// fit.
  func value(limit: Int) throws -> Constant? {
    guard let first = operands.first ?? nil else { return nil }
    let areSizes = operands.contains { $0?.areSizes == true }
    // No arithmetic with the number of rows, which is not known.
    let moved = try moved(first, limit)
    if let moved { return Constant(node.output, moved.type, moved.dims, moved.values, areSizes: areSizes) }
    let hasUnknown =
      try areSizes
      && operands.contains { operand in
        try operand?.values().contains { $0 == Constant.batchSize || $0 == Constant.unknownSize } == true
      }
    guard !hasUnknown, let result = try computed(first, limit) else { return nil }
    let values =
      switch result.type {
      case .float: result.values.map { Double(Float($0)) }
      case let type where type.isInteger && type != .bool: result.values.map { $0.rounded(.towardZero) }
      default: result.values
      }
    guard areSizes || values.allSatisfy(\.isFinite) || !result.type.isInteger else { return nil }
    return Constant(node.output, result.type, result.dims, values, areSizes: areSizes)
  }

  private typealias Value = (type: ElementType, dims: [Int], values: [Double])

  private func integers(_ position: Int, attribute name: String? = nil) throws -> [Int64]? {
    if position < operands.count, let operand = operands[position] {
      return operand.areSizes ? nil : try? operand.integers()
    }
    return name.flatMap { name in node.proto.attribute.first { $0.name == name }?.ints }
  }

  private func attribute(_ name: String, or standard: Int64) -> Int64 {
    node.proto.attribute.first { $0.name == name }?.i ?? standard
  }

  private func axis(_ axis: Int64, of rank: Int) -> Int? {
    let place = axis < 0 ? axis + Int64(rank) : axis
    return place >= 0 && place < rank ? Int(place) : nil
  }

  // MARK: Operators that only move values

  private func moved(_ x: Constant, _ limit: Int) throws -> Value? {
    let rank = x.dims.count
    func same(_ dims: [Int]) throws -> Value? {
      guard dims.reduce(1, *) == x.count else { return nil }
      return (x.type, dims, try x.values())
    }
    switch node.type {
    case "Identity": return try same(x.dims)
    case "Cast":
      guard let type = ElementType(rawValue: Int(clamping: attribute("to", or: 0))), type.isNumber else {
        return nil
      }
      if x.areSizes && !type.isInteger { return nil }
      let values = try x.values()
      return switch type {
      case .bool: (type, x.dims, values.map { $0 == 0 ? 0 : 1 })
      case .float: (type, x.dims, values.map { Double(Float($0)) })
      case _ where type.isInteger: (type, x.dims, values.map { $0.rounded(.towardZero) })
      default: (type, x.dims, values)
      }
    case "Reshape":
      guard let shape = try integers(1), shape.count < 10, let dims = Graph.resolve(shape, of: x.dims) else {
        return nil
      }
      return try same(dims)
    case "Flatten":
      let axis = attribute("axis", or: 1)
      guard let place = axis == Int64(rank) ? rank : self.axis(axis, of: rank) else { return nil }
      return try same([x.dims[..<place].reduce(1, *), x.dims[place...].reduce(1, *)])
    case "Squeeze":
      guard let axes = try integers(1, attribute: "axes") else { return try same(x.dims.filter { $0 != 1 }) }
      let places = axes.compactMap { axis($0, of: rank) }
      guard places.count == axes.count, places.allSatisfy({ x.dims[$0] == 1 }) else { return nil }
      return try same(x.dims.indices.filter { !places.contains($0) }.map { x.dims[$0] })
    case "Unsqueeze":
      guard let axes = try integers(1, attribute: "axes"), axes.count < 10 else { return nil }
      var dims = x.dims
      let places = axes.compactMap { axis($0, of: rank + axes.count) }
      guard Set(places).count == axes.count else { return nil }
      for place in places.sorted() { dims.insert(1, at: place) }
      return try same(dims)
    case "Transpose":
      let axes = node.proto.attribute.first { $0.name == "perm" }?.ints ?? (0..<Int64(rank)).reversed()
      let places = axes.compactMap { axis($0, of: rank) }
      guard places.count == rank, Set(places).count == rank else { return nil }
      let steps = strides(x.dims)
      return gathered(x, try x.values(), places.map { x.dims[$0] }, places.map { steps[$0] })
    case "Expand":
      guard let shape = try integers(1), shape.count < 10, shape.allSatisfy({ $0 >= 1 && $0 <= Int32.max }),
        let dims = broadcast(x.dims, shape.map { Int($0) }), let count = product(dims), count <= limit
      else { return nil }
      return gathered(x, try x.values(), dims, stretched(x.dims, to: dims))
    case "Concat":
      let all = operands.compactMap(\.self)
      guard all.count == operands.count, let place = axis(attribute("axis", or: 1), of: rank),
        all.allSatisfy({ other in
          other.dims.count == rank && other.type == x.type
            && x.dims.indices.allSatisfy { $0 == place || other.dims[$0] == x.dims[$0] }
        }), all.reduce(0, { $0 + $1.count }) <= limit
      else { return nil }
      let parts = try all.map { (values: try $0.values(), width: $0.dims[place...].reduce(1, *)) }
      var values: [Double] = []
      for row in 0..<x.dims[..<place].reduce(1, *) {
        for part in parts { values += part.values[row * part.width..<(row + 1) * part.width] }
      }
      var dims = x.dims
      dims[place] = all.reduce(0) { $0 + $1.dims[place] }
      return (x.type, dims, values)
    case "Gather":
      guard operands.count == 2, let indices = operands[1], !indices.areSizes,
        let place = axis(attribute("axis", or: 0), of: rank)
      else { return nil }
      let chosen = try indices.integers().compactMap { axis($0, of: x.dims[place]) }
      let (inner, outer) = (x.dims[(place + 1)...].reduce(1, *), x.dims[..<place].reduce(1, *))
      guard chosen.count == indices.count, let count = product([outer, chosen.count, inner]), count <= limit
      else {
        return nil
      }
      let source = try x.values()
      var values: [Double] = []
      for row in 0..<outer {
        for index in chosen {
          let start = (row * x.dims[place] + index) * inner
          values += source[start..<start + inner]
        }
      }
      return (x.type, Array(x.dims[..<place]) + indices.dims + Array(x.dims[(place + 1)...]), values)
    case "Slice":
      guard let slices = try Slices(node, rank, { try integers($0, attribute: $1) }) else { return nil }
      var (dims, values) = (x.dims, try x.values())
      for part in slices.parts {
        let (axis, indices) = (part.axis, part.indices(of: dims[part.axis]))
        let (inner, outer) = (dims[(axis + 1)...].reduce(1, *), dims[..<axis].reduce(1, *))
        var taken: [Double] = []
        for row in 0..<outer {
          for index in indices {
            let start = (row * dims[axis] + index) * inner
            taken += values[start..<start + inner]
          }
        }
        values = taken
        dims[axis] = indices.count
      }
      return (x.type, dims, values)
    default: return nil
    }
  }

  // MARK: Arithmetic

  private func computed(_ x: Constant, _ limit: Int) throws -> Value? {
    if let function = Self.functions[node.type], operands.count == 1 {
      return (x.type, x.dims, try x.values().map(function))
    }
    if let function = Self.binary[node.type] {
      var result: Value = (x.type, x.dims, try x.values())
      let isVariadic = ["Max", "Min", "Sum"].contains(node.type)
      guard operands.count == 2 || (isVariadic && operands.count >= 1) else { return nil }
      for operand in operands.dropFirst() {
        guard let operand, let next = try elementwise(result, operand, function, limit) else { return nil }
        result = next
      }
      if Self.comparisons.contains(node.type) { result.type = .bool }
      return result
    }
    switch node.type {
    case "Shape":
      guard node.proto.attribute.isEmpty else { return nil }
      return (.int64, [x.dims.count], x.dims.map { Double($0) })
    case "Size": return (.int64, [], [Double(x.count)])
    case "ConstantOfShape":
      let shape = try x.integers()
      guard shape.count < 10, shape.allSatisfy({ $0 >= 0 && $0 <= Int32.max }),
        let count = product(shape.map { Int($0) }), count <= limit
      else { return nil }
      let tensor = node.proto.attribute.first { $0.name == "value" }?.t
      let value = try tensor.map { try Constant(node.output, $0, bytes) }
      guard value?.count ?? 1 == 1 else { return nil }
      return (
        value?.type ?? .float, shape.map { Int($0) },
        [Double](repeating: try value?.values().first ?? 0, count: count)
      )
    case "Where":
      guard operands.count == 3, let a = operands[1], let b = operands[2] else { return nil }
      // For Where(c, a, b): first the shape of all three, then the choice.
      guard let dims = broadcast(x.dims, a.dims).flatMap({ broadcast($0, b.dims) }),
        let count = product(dims), count <= limit
      else { return nil }
      let all = try [x, a, b].map { gathered($0, try $0.values(), dims, stretched($0.dims, to: dims)).values }
      return (a.type, dims, all[0].indices.map { all[0][$0] != 0 ? all[1][$0] : all[2][$0] })
    case "MatMul", "Gemm": return try product(x, limit)
    case let type where type.hasPrefix("Reduce"): return try reduced(x)
    default: return nil
    }
  }

  private static let functions: [String: @Sendable (Double) -> Double] = [
    "Neg": { -$0 }, "Abs": { abs($0) }, "Sqrt": { $0.squareRoot() }, "Reciprocal": { 1 / $0 },
    "Floor": { $0.rounded(.down) }, "Ceil": { $0.rounded(.up) }, "Relu": { max($0, 0) },
    "Not": { $0 == 0 ? 1 : 0 }, "Exp": { exp($0) }, "Log": { log($0) }, "Tanh": { tanh($0) },
    "Erf": { erf($0) },
    "Sigmoid": { 1 / (1 + exp(-$0)) },
  ]

  private static let binary: [String: @Sendable (Double, Double) -> Double] = [
    "Add": { $0 + $1 }, "Sub": { $0 - $1 }, "Mul": { $0 * $1 }, "Div": { $0 / $1 }, "Sum": { $0 + $1 },
    "Max": { max($0, $1) }, "Min": { min($0, $1) }, "Pow": { pow($0, $1) },
    "Equal": { $0 == $1 ? 1 : 0 }, "Greater": { $0 > $1 ? 1 : 0 }, "Less": { $0 < $1 ? 1 : 0 },
    "GreaterOrEqual": { $0 >= $1 ? 1 : 0 }, "LessOrEqual": { $0 <= $1 ? 1 : 0 },
    "And": { $0 != 0 && $1 != 0 ? 1 : 0 }, "Or": { $0 != 0 || $1 != 0 ? 1 : 0 },
  ]
  private static let comparisons: Set = [
    "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or",
  ]

  private func elementwise(
    _ a: Value, _ b: Constant, _ function: (Double, Double) -> Double, _ limit: Int
  ) throws -> Value? {
    guard let dims = broadcast(a.dims, b.dims), let count = product(dims), count <= limit else { return nil }
    if node.type == "Div", a.type.isInteger, try b.values().contains(0) { return nil }
    let left = dims == a.dims ? a.values : spread(a.values, dims, stretched(a.dims, to: dims))
    let right = spread(try b.values(), dims, stretched(b.dims, to: dims))
    return (a.type, dims, zip(left, right).map(function))
  }

  /// Reduces over the axes of an attribute, or of the second input.
  private func reduced(_ x: Constant) throws -> Value? {
    let listed = try integers(1, attribute: "axes") ?? []
    if listed.isEmpty, attribute("noop_with_empty_axes", or: 0) != 0 { return nil }
    let axes = Set(listed.isEmpty ? Array(x.dims.indices) : listed.compactMap { axis($0, of: x.dims.count) })
    let keeps = attribute("keepdims", or: 1) != 0
    let outer = x.dims.indices.filter { !axes.contains($0) }
    let inner = x.dims.indices.filter { axes.contains($0) }
    let steps = strides(x.dims)
    // The kept axes come first, so that the values of a sum are contiguous.
    let values = gathered(
      x, try x.values(), (outer + inner).map { x.dims[$0] }, (outer + inner).map { steps[$0] }
    ).values
    let count = inner.map { x.dims[$0] }.reduce(1, *)
    guard count > 0, let reduction = Self.reductions[node.type] else { return nil }
    let results = stride(from: 0, to: values.count, by: count).map { reduction(values[$0..<$0 + count]) }
    let dims = keeps ? x.dims.indices.map { axes.contains($0) ? 1 : x.dims[$0] } : outer.map { x.dims[$0] }
    return (x.type, dims, results)
  }

  private static let reductions: [String: @Sendable (ArraySlice<Double>) -> Double] = [
    "ReduceSum": { $0.reduce(0, +) }, "ReduceMean": { $0.reduce(0, +) / Double($0.count) },
    "ReduceProd": { $0.reduce(1, *) }, "ReduceMax": { $0.reduce(-.infinity) { max($0, $1) } },
    "ReduceMin": { $0.reduce(.infinity) { min($0, $1) } }, "ReduceL1": { $0.reduce(0) { $0 + abs($1) } },
    "ReduceL2": { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() },
    "ReduceSumSquare": { $0.reduce(0) { $0 + $1 * $1 } },
  ]

  /// α A B + β C of matrices; a vector is a row on the left and a column on the right.
  private func product(_ a: Constant, _ limit: Int) throws -> Value? {
    guard operands.count >= 2, let b = operands[1], (1...2).contains(a.dims.count),
      (1...2).contains(b.dims.count),
      operands.count == 2 || operands[2] == nil
    else { return nil }
    let isGemm = node.type == "Gemm"
    let (transA, transB) = (
      isGemm && attribute("transA", or: 0) == 1, isGemm && attribute("transB", or: 0) == 1
    )
    let alpha = isGemm ? Double(node.proto.attribute.first { $0.name == "alpha" }?.f ?? 1) : 1
    let (aDims, bDims) = (
      a.dims.count == 1 ? [1] + a.dims : a.dims, b.dims.count == 1 ? b.dims + [1] : b.dims
    )
    let (rows, inner) = transA ? (aDims[1], aDims[0]) : (aDims[0], aDims[1])
    let (depth, columns) = transB ? (bDims[1], bDims[0]) : (bDims[0], bDims[1])
    guard inner == depth, let count = self.product([rows, columns]), count <= limit,
      // The work is limited to 2³² multiplications.
      let work = self.product([count, inner]), work <= 1 << 32
    else { return nil }
    let (left, right) = (try a.values(), try b.values())
    var values = [Double](repeating: 0, count: count)
    for i in 0..<rows {
      for j in 0..<columns {
        var sum = 0.0
        for k in 0..<inner {
          sum += left[transA ? k * rows + i : i * inner + k] * right[transB ? j * inner + k : k * columns + j]
        }
        values[i * columns + j] = alpha * sum
      }
    }
    let dims: [Int] = (a.dims.count == 1 ? [] : [rows]) + (b.dims.count == 1 ? [] : [columns])
    return (a.type, dims, values)
  }

  // MARK: Axes

  private func product(_ sizes: [Int]) -> Int? { Graph.product(sizes) }

  /// Returns the distance between neighbours along each axis.
  private func strides(_ dims: [Int]) -> [Int] {
    var steps = [Int](repeating: 1, count: dims.count)
    for axis in dims.indices.dropLast().reversed() { steps[axis] = steps[axis + 1] * dims[axis + 1] }
    return steps
  }

  /// Returns the shape to which both broadcast, as in NumPy; `nil` if they do not fit.
  private func broadcast(_ a: [Int], _ b: [Int]) -> [Int]? {
    let rank = max(a.count, b.count)
    let (a, b) = (
      [Int](repeating: 1, count: rank - a.count) + a, [Int](repeating: 1, count: rank - b.count) + b
    )
    var dims: [Int] = []
    for (m, n) in zip(a, b) {
      guard m == n || m == 1 || n == 1 else { return nil }
      dims.append(m == 1 ? n : m)
    }
    return dims
  }

  /// Returns the strides of a tensor of `dims` broadcast to `target`: 0 along repeated axes.
  private func stretched(_ dims: [Int], to target: [Int]) -> [Int] {
    let steps = zip(dims, strides(dims)).map { $0 == 1 ? 0 : $1 }
    return [Int](repeating: 0, count: target.count - dims.count) + steps
  }

  private func gathered(_ x: Constant, _ values: [Double], _ dims: [Int], _ steps: [Int]) -> Value {
    (x.type, dims, spread(values, dims, steps))
  }

  /// Returns the values at these strides, in the order of a tensor of `dims`.
  private func spread(_ values: [Double], _ dims: [Int], _ steps: [Int]) -> [Double] {
    let count = dims.reduce(1, *)
    var (result, index, place) = ([Double](), [Int](repeating: 0, count: dims.count), 0)
    result.reserveCapacity(count)
    for _ in 0..<count {
      result.append(values[place])
      for axis in dims.indices.reversed() {
        index[axis] += 1
        place += steps[axis]
        if index[axis] < dims[axis] { break }
        place -= steps[axis] * dims[axis]
        index[axis] = 0
      }
    }
    return result
  }
}
