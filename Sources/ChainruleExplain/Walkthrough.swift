import Chainrule

/// An explanation as a document: sections with paragraphs, equations, matrices and tables, in the order of the computation.
///
/// It knows nothing of columns or markup; a rendering decides how it looks. Lists create their elements on demand, so that a
/// rendering can show a few of a million weights.
struct Walkthrough {
  var title: String?
  var blocks: [Block]

  enum Block {
    case section(title: String, [Block])
    case paragraph(String)
    /// Equations in symbols, as a textbook states them: zⱼ = Σᵢ wⱼᵢ·xᵢ + bⱼ
    case formulas([String])
    case equation(Equation)
    /// z = W·a + b, with symbols and with numbers.
    case matrices(MatrixEquation)
    /// x = (2, 3)
    case vector(name: String, [Double])
    /// a₁: 0.2037 → 0.294786
    case change(name: String, from: Double, to: Double)
    /// Terms and what they mean.
    case definitions([(term: String, meaning: String)])
    case table(Table)
    case list(List)
  }

  /// z₁ = w₁₁·x₁ + w₁₂·x₂ = 0.12·2 + 0.33·3 = 1.23
  struct Equation {
    var name: String
    var relation = Relation.equals
    /// With symbols; nil where the section's formula says it already.
    var symbols: Formula?
    /// The same with numbers.
    var numbers: Formula
    /// What the core computed.
    var value: Double
  }

  enum Relation: String {
    case equals = "="
    case becomes = "←"
  }

  /// Terms with operators between them, of which the last is a result: W·a + b = z.
  struct MatrixEquation {
    /// z⁽¹⁾ = W⁽¹⁾·x + b⁽¹⁾
    var symbols: String
    /// Each operator stands before its matrix; the first has none.
    var terms: [(operator: String, matrix: [[Double]])]
  }

  struct Table {
    var header: [String]
    var rows: List
  }

  struct List {
    /// The kind of the elements.
    var kind: Kind
    var count: Int
    /// The element to begin with where few are shown.
    var first = 0
    var element: (Int) -> [Block]

    /// By the plural of what is listed.
    enum Kind: String { case steps, rows, neurons, weights, parameters }
  }
}

extension Walkthrough.Block {
  static func equation(
    _ name: String, _ relation: Walkthrough.Relation = .equals, _ symbols: Formula? = nil, numbers: Formula,
    value: Double? = nil
  ) -> Walkthrough.Block {
    .equation(
      Walkthrough.Equation(
        name: name, relation: relation, symbols: symbols, numbers: numbers,
        value: value ?? numbers.value ?? .nan))
  }
}

extension Walkthrough.Table {
  /// A row of a table is one vector block, whose name is its first cell.
  typealias Row = (name: String, values: [Double])

  func row(_ index: Int) -> Row {
    guard case .vector(let name, let values)? = rows.element(index).first else { return ("", []) }
    return (name, values)
  }
}

extension Walkthrough {
  /// - Parameter sample: The row of each batch that is shown first, counted from 0.
  init(_ explanation: Explanation, sample: Int = 0) {
    let batches = explanation.batches
    let tale = Tale(explanation: explanation, sample: sample)
    title = explanation.name
    blocks =
      tale.head
      + [
        .list(
          List(kind: .steps, count: batches.count) { index in
            let title = batches.count == 1 ? "The step" : "Step \(index + 1) of \(batches.count)"
            return [.section(title: title, tale.step(index))]
          }),
        tale.afterwards,
      ] + tale.foot
  }
}

/// Makes the sections of an explanation. Layers, rows and neurons count from 0 here and from 1 in the text.
struct Tale {
  typealias Block = Walkthrough.Block
  typealias List = Walkthrough.List

  let explanation: Explanation
  /// The row of a batch that is shown in full.
  let sample: Int
  var layers: [Chainrule.Layer] { explanation.layers }
  var loss: Loss { explanation.loss }

  /// Forward, loss, backward with the gradients, clipping, update.
  func step(_ index: Int) -> [Block] {
    let batch = explanation.batches[index]
    let forward = rows(of: batch) { row in
      [.vector(name: "x", batch.x[row])] + layers.indices.map { self.forward($0, row, of: batch) }
    }
    let losses = rows(of: batch) { row in targets(row, of: batch) + rowLoss(row, of: batch) }
    return [
      .section(title: "Forward", [forward]),
      .section(title: "Loss, \(loss)", [.formulas([lossFormula(of: batch)]), losses] + meanLoss(of: batch)),
      .section(
        title: "Backward, from the output layer to the first",
        [.paragraph(meaningOfDelta)] + layers.indices.reversed().map { backward($0, of: batch) }),
    ] + clipping(of: batch) + [update(index)]
  }

  /// What `blocks` tells of each row, the sample first. A batch of one row needs no title.
  func rows(of batch: Explanation.Batch, _ blocks: @escaping (Int) -> [Block]) -> Block {
    let count = batch.x.count
    return .list(
      List(kind: .rows, count: count, first: min(sample, count - 1)) { row in
        count == 1
          ? blocks(row) : [.section(title: "Row \(row + 1) of \(count)", blocks(row))]
      })
  }

  /// "δ = ∂L/∂z", and what it is where a layer has no f.
  private var meaningOfDelta: String {
    layers.indices.allSatisfy(hasActivation)
      ? "δ = ∂L/∂z of each layer." : "δ = ∂L/∂z of a layer with an f, else ∂L/∂a."
  }

  /// The section of a layer, "Layer 2, sigmoid".
  func section(_ layer: Int, _ formulas: [String], _ blocks: [Block]) -> Block {
    let kind: String =
      switch layers[layer] {
      case .dense(let dense): "\(dense.activation)"
      case .activation(let activation): "activation \(activation)"
      case .dropout, .batchNorm, .layerNorm, .scaling, .residual, .custom: layers[layer].description
      }
    return .section(
      title: "Layer \(layer + 1), \(kind)", (formulas.isEmpty ? [] : [.formulas(formulas)]) + blocks)
  }

  func neurons(_ count: Int, _ element: @escaping (Int) -> [Block]) -> Block {
    .list(List(kind: .neurons, count: count, element: element))
  }

  func inputs(_ layer: Int, of batch: Explanation.Batch) -> [[Double]] {
    layer == 0 ? batch.x : batch.layers[layer - 1].a
  }

  func hasActivation(_ layer: Int) -> Bool {
    switch layers[layer] {
    case .dense, .activation: true
    case .dropout, .batchNorm, .layerNorm, .scaling, .residual, .custom: false
    }
  }
}

// MARK: - Symbols

extension Tale {
  /// The symbol of the input of layer `layer`, "xᵢ" or "aᵢ⁽¹⁾".
  func input(_ layer: Int, _ index: String = "ᵢ") -> String {
    layer == 0 ? "x\(index)" : "a\(index)\(superscript(layer))"
  }

  /// "w₁₂", or its name in the step file.
  func weight(_ layer: Int, _ j: Int, _ i: Int) -> String {
    explanation.names[layer]?.weights?[j][i] ?? "w\(index(j, i))"
  }

  /// "b₁", or its name in the step file.
  func bias(_ layer: Int, _ j: Int) -> String {
    explanation.names[layer]?.bias?[j] ?? "b\(index(j))"
  }

  /// The weight as layers other than its own name it: "w₁₂⁽²⁾".
  func outerWeight(_ layer: Int, _ j: Int, _ i: Int) -> String {
    explanation.names[layer]?.weights?[j][i] ?? "w\(index(j, i))\(superscript(layer + 1))"
  }

  /// a and y as those of output j
  func indexed(_ formula: Formula) -> Formula {
    formula.map { symbol in ["a", "y"].contains(symbol) ? .symbol(symbol + "ⱼ") : nil }
  }
}

/// "₁₂", from two indices counted from 0; with a comma where one has two digits, "₁₀,₂".
func index(_ indices: Int...) -> String {
  let numbers = indices.map { "\($0 + 1)" }
  let separator = numbers.contains { $0.count > 1 } ? "," : ""
  return numbers.map(lowered).joined(separator: separator)
}

/// "⁽²⁾"
func superscript(_ layer: Int) -> String {
  "⁽\(String("\(layer)".map { digit in Array("⁰¹²³⁴⁵⁶⁷⁸⁹")[digit.wholeNumberValue!] }))⁾"
}

/// Digits as an index: "12" as "₁₂".
func lowered(_ digits: String) -> String {
  String(digits.map { digit in Array("₀₁₂₃₄₅₆₇₈₉")[digit.wholeNumberValue!] })
}
