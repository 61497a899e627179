import Chainrule

/// An explanation as sections with equations, in the order of the computation.
///
/// A rendering decides how it looks. Lists create their elements on demand, so that a rendering can show a few of a million
/// weights.
struct Walkthrough {
  var blocks: [Block]

  enum Block {
    case section(title: String, formulas: [String], blocks: [Block])
    /// A name, a formula with numbers, and the value that the core computed: z₁ = 0.12·2 + 0.33·3 = 1.23
    case equation(name: String, Relation, Formula, value: Double)
    /// x = (2, 3)
    case vector(name: String, [Double])
    /// w₁₁: 0.12 → 0.13
    case change(name: String, from: Double, to: Double)
    case list(List)
  }

  enum Relation: String {
    case equals = "="
    case becomes = "←"
  }

  struct List {
    /// The kind of the elements.
    var kind: Kind
    var count: Int
    var element: (Int) -> [Block]

    /// By the plural of what is listed.
    enum Kind: String { case batches, rows, neurons, weights }
  }
}

extension Walkthrough {
  init(_ explanation: Explanation) {
    let batches = explanation.batches
    let tale = Tale(explanation: explanation)
    blocks = [
      .list(
        List(kind: .batches, count: batches.count) { index in
          let title = batches.count == 1 ? "Batch" : "Batch \(index + 1) of \(batches.count)"
          return [.section(title: title, formulas: [], blocks: tale.batch(batches[index]))]
        }),
      tale.afterwards,
    ]
  }
}

/// Makes the sections of an explanation. Layers, rows and neurons count from 0 here and from 1 in the text.
struct Tale {
  typealias Block = Walkthrough.Block
  typealias List = Walkthrough.List

  let explanation: Explanation
  var layers: [Chainrule.Layer] { explanation.layers }
  var loss: Loss { explanation.loss }

  func batch(_ batch: Explanation.Batch) -> [Block] {
    let rows = batch.x.count
    let steps: [Block] =
      if rows == 1 {
        row(0, of: batch)
      } else {
        [
          .list(
            List(kind: .rows, count: rows) { row in
              [.section(title: "Row \(row + 1) of \(rows)", formulas: [], blocks: self.row(row, of: batch))]
            }), meanLoss(of: batch),
        ]
      }
    return statistics(of: batch) + steps + [gradients(of: batch)] + clipping(of: batch) + [update(of: batch)]
  }

  func row(_ row: Int, of batch: Explanation.Batch) -> [Block] {
    [.vector(name: "x", batch.x[row])] + targets(row, of: batch) + [
      .section(title: "Forward", formulas: [], blocks: layers.indices.map { forward($0, row, of: batch) }),
      rowLoss(row, of: batch),
      .section(
        title: "Backward",
        formulas: [
          layers.indices.allSatisfy(hasActivation) ? "δ = ∂L/∂z" : "δ = ∂L/∂z, or ∂L/∂a where there is no f"
        ],
        blocks: layers.indices.reversed().map { backward($0, row, of: batch) }),
    ]
  }

  /// y, and the y that the loss uses if it is smoothed or a class label of hinge.
  func targets(_ row: Int, of batch: Explanation.Batch) -> [Block] {
    let y = Block.vector(name: "y", batch.y[row])
    if loss == .hinge && batch.y[row].contains(0) {
      return [y, .vector(name: "y, 0 as −1", smoothed(row, of: batch))]
    }
    if explanation.regularization.labelSmoothing == 0 { return [y] }
    let name = loss == .crossEntropy ? "(1 − s)·y + s/n" : "(1 − s)·y + s/2"
    return [y, .vector(name: name, smoothed(row, of: batch))]
  }

  func smoothed(_ row: Int, of batch: Explanation.Batch) -> [Double] {
    loss.smoothed(batch.y[row], explanation.regularization)
  }

  /// The section of a layer, "Layer 2, sigmoid".
  func section(_ layer: Int, _ formulas: [String], _ blocks: [Block]) -> Block {
    let kind: String =
      switch layers[layer] {
      case .dense(let dense): "\(dense.activation)"
      case .activation(let activation): "activation \(activation)"
      case .dropout, .batchNorm, .layerNorm, .scaling, .residual, .custom: layers[layer].description
      }
    return .section(title: "Layer \(layer + 1), \(kind)", formulas: formulas, blocks: blocks)
  }

  func neurons(_ count: Int, _ element: @escaping (Int) -> [Block]) -> Block {
    .list(List(kind: .neurons, count: count, element: element))
  }

  /// The symbol of the input of layer `layer`, "xᵢ" or "aᵢ⁽¹⁾".
  func input(_ layer: Int, _ index: String = "ᵢ") -> String {
    layer == 0 ? "x\(index)" : "a\(index)\(superscript(layer))"
  }

  /// a and y as those of output j
  func indexed(_ formula: Formula) -> Formula {
    formula.map { symbol in ["a", "y"].contains(symbol) ? .symbol(symbol + "ⱼ") : nil }
  }

  func inputs(_ layer: Int, of batch: Explanation.Batch) -> [[Double]] {
    layer == 0 ? batch.x : batch.layers[layer - 1].a
  }
}

// MARK: - Indices

/// "₁₂", from two indices counted from 0; with a comma where one has two digits, "₁₀,₂".
func index(_ indices: Int...) -> String {
  let numbers = indices.map { "\($0 + 1)" }
  let separator = numbers.contains { $0.count > 1 } ? "," : ""
  return numbers.map { String($0.map { digit in Array("₀₁₂₃₄₅₆₇₈₉")[digit.wholeNumberValue!] }) }
    .joined(separator: separator)
}

/// "⁽²⁾"
func superscript(_ layer: Int) -> String {
  "⁽\(String("\(layer)".map { digit in Array("⁰¹²³⁴⁵⁶⁷⁸⁹")[digit.wholeNumberValue!] }))⁾"
}
