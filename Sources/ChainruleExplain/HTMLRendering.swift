import Chainrule
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Writes an explanation as one HTML page, which loads nothing: the network drawn, its numbers and formulas by hover, focus
/// or tap, the steps on a slider, forward and backward played.
public struct HTMLRendering: Sendable {
  /// How many significant digits a number in a formula shows, 1 … 17.
  public var digits: Int
  /// The row of each batch that is drawn, counted from 0.
  public var sample: Int

  /// Six digits, and of a batch the first row.
  public init(digits: Int = 6, sample: Int = 0) {
    self.digits = digits
    self.sample = sample
  }

  /// The whole page.
  ///
  /// - Throws: `EncodingError` for a number that is not finite.
  public func callAsFunction(_ explanation: Explanation) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let json = String(
      decoding: try encoder.encode(PageData(explanation, sample: sample, digits: digits)), as: UTF8.self)
    return HTMLTemplate.page(
      title: (explanation.name ?? "A training step").escaped(for: .html), json: Self.embedded(json))
  }

  /// JSON as it may stand in a script element: the same value, without what ends the element or a line of a script.
  static func embedded(_ json: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in json.unicodeScalars {
      switch scalar {
      case "<": result.append(contentsOf: "\\u003c".unicodeScalars)
      case ">": result.append(contentsOf: "\\u003e".unicodeScalars)
      case "&": result.append(contentsOf: "\\u0026".unicodeScalars)
      case "\u{2028}": result.append(contentsOf: "\\u2028".unicodeScalars)
      case "\u{2029}": result.append(contentsOf: "\\u2029".unicodeScalars)
      default: result.append(scalar)
      }
    }
    return String(result)
  }
}

/// What the page shows: the explanation as `--format json` prints it, and what is drawn of it.
private struct PageData: Encodable {
  var explanation: Explanation
  var title: String
  /// The inputs that are drawn; a gap in the places stands for those between.
  var inputs: [Int]
  var inputCount: Int
  var layers: [Layer]
  /// The row that is drawn, and how many the batches have at most; counted from 1.
  var row: Int
  var steps: [Step]

  struct Layer: Encodable {
    var title: String
    var units: Int
    /// The neurons that are drawn.
    var places: [Int]
    var isDense: Bool
  }

  struct Step: Encodable {
    var number: Int
    var loss: Double
    var learningRate: Double
    var rows: Int
    /// Of the row drawn.
    var x: [Double]
    var y: [Double]
    var lossLines: [String]
    var layers: [LayerStep]
  }

  /// Numbers and equations of a layer in a step, of the neurons drawn.
  struct LayerStep: Encodable {
    var z, a, delta: [Double]
    var forward: [[String]]
    var backward: [[String]]
    /// [neuron drawn][input drawn]; empty where there is no W
    var weights: [[Double]] = []
    var gradients: [[Double]] = []
    var after: [[Double]] = []
    var edges: [[[String]]] = []
  }

  /// The most steps that the slider has; of more, some at equal distances.
  private static let mostSteps = 50

  init(_ explanation: Explanation, sample: Int, digits: Int) {
    self.explanation = explanation
    title = explanation.name ?? "A training step"
    let tale = Tale(explanation: explanation, sample: sample)
    let drawn: (Int) -> [Int] = { Abbreviation().places($0).compactMap(\.self) }
    inputCount = explanation.inputs
    inputs = drawn(explanation.inputs)
    let places = explanation.batches[0].layers.map { drawn($0.a[0].count) }
    layers = explanation.layers.enumerated().map { index, layer in
      Layer(
        title: "Layer \(index + 1), \(layer)", units: explanation.batches[0].layers[index].a[0].count,
        places: places[index], isDense: layer.name == "dense")
    }
    row = sample + 1
    let count = explanation.batches.count
    let shown =
      count <= Self.mostSteps
      ? Array(0..<count) : (0..<Self.mostSteps).map { $0 * (count - 1) / (Self.mostSteps - 1) }
    let inputs = inputs
    steps = shown.map { index in
      let batch = explanation.batches[index]
      let row = min(sample, batch.x.count - 1)
      let lines = EquationLines(digits: digits)
      return Step(
        number: index + 1, loss: batch.loss, learningRate: batch.learningRate, rows: batch.x.count,
        x: inputs.map { batch.x[row][$0] }, y: batch.y[row],
        lossLines: lines.all(in: tale.rowLoss(row, of: batch) + tale.meanLoss(of: batch)),
        layers: places.indices.map { layer in
          let from = layer == 0 ? inputs : places[layer - 1]
          return Self.layer(layer, places[layer], from, row, index, tale, lines)
        })
    }
  }

  private static func layer(
    _ layer: Int, _ places: [Int], _ from: [Int], _ row: Int, _ step: Int, _ tale: Tale,
    _ lines: EquationLines
  ) -> LayerStep {
    let batch = tale.explanation.batches[step]
    let trace = batch.layers[layer]
    let forward = lines.byNeuron(in: [tale.forward(layer, row, of: batch)])
    var backward: [Int: [String]] = [:]
    if layer + 1 < tale.layers.count {
      backward = lines.byNeuron(in: tale.handing(layer + 1, row, of: batch))
    }
    backward.merge(lines.byNeuron(in: tale.delta(layer, row, of: batch))) { $0 + $1 }
    let gradients = lines.byWeight(in: tale.gradients(layer, of: batch))
    var result = LayerStep(
      z: places.map { trace.z[row][$0] }, a: places.map { trace.a[row][$0] },
      delta: places.map { trace.delta[row][$0] }, forward: places.map { forward[$0] ?? [] },
      backward: places.map { backward[$0] ?? [] })
    guard let weights = trace.before.weights else { return result }
    func drawn(_ matrix: [[Double]]) -> [[Double]] { places.map { j in from.map { matrix[j][$0] } } }
    result.weights = drawn(weights)
    result.gradients = drawn(trace.gradients.weights!)
    result.after = drawn(trace.after.weights!)
    let columns = weights[0].count
    let update = LayerUpdate(tale, layer, step)
    result.edges = places.map { j in
      from.map { i in
        (gradients[j]?[i] ?? []) + lines.all(in: update.equations(j * columns + i))
      }
    }
    return result
  }
}

/// The equations of a walkthrough as lines, by what they tell of.
private struct EquationLines {
  let digits: Int
  private var formula: FormulaText { Abbreviation().formula(digits: digits) }

  init(digits: Int) { self.digits = digits }

  private func line(_ equation: Walkthrough.Equation) -> String {
    let value = formula.number(equation.value)
    var sides = equation.symbols.map { [formula($0)] } ?? []
    let numbers = formula(equation.numbers)
    if numbers != value && numbers != sides.last { sides.append(numbers) }
    return "\(equation.name) \(equation.relation.rawValue) \((sides + [value]).joined(separator: " = "))"
  }

  func all(in blocks: [Walkthrough.Block]) -> [String] {
    var result: [String] = []
    visit(blocks) { _, _, line in result.append(line) }
    return result
  }

  func byNeuron(in blocks: [Walkthrough.Block]) -> [Int: [String]] {
    var result: [Int: [String]] = [:]
    visit(blocks) { neuron, weight, line in
      if let neuron, weight == nil { result[neuron, default: []].append(line) }
    }
    return result
  }

  func byWeight(in blocks: [Walkthrough.Block]) -> [Int: [Int: [String]]] {
    var result: [Int: [Int: [String]]] = [:]
    visit(blocks) { neuron, weight, line in
      if let neuron, let weight { result[neuron, default: [:]][weight, default: []].append(line) }
    }
    return result
  }

  private func visit(
    _ blocks: [Walkthrough.Block], neuron: Int? = nil, weight: Int? = nil,
    _ body: (_ neuron: Int?, _ weight: Int?, _ line: String) -> Void
  ) {
    for block in blocks {
      switch block {
      case .section(_, let blocks): visit(blocks, neuron: neuron, weight: weight, body)
      case .equation(let equation): body(neuron, weight, line(equation))
      case .list(let list):
        let places = Abbreviation().places(list.count).compactMap(\.self)
        for place in places {
          visit(
            list.element(place), neuron: list.kind == .neurons ? place : neuron,
            weight: list.kind == .weights ? place : weight, body)
        }
      case .paragraph, .formulas, .matrices, .vector, .change, .definitions, .table: break
      }
    }
  }
}
