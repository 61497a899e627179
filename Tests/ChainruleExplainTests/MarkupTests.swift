import Chainrule
import Foundation
import TestSupport
import Testing

@testable import ChainruleExplain

@Suite struct `LaTeX of a formula` {
  @Test(arguments: [
    ("zⱼ = Σᵢ wⱼᵢ·xᵢ + bⱼ", "z_{j} = \\textstyle\\sum _{i} w_{ji} \\cdot x_{i} + b_{j}"),
    ("wₖⱼ⁽²⁾·δₖ⁽²⁾", "w_{kj}^{(2)} \\cdot \\delta _{k}^{(2)}"),
    ("∂L/∂w₁₁ = −0.5", "\\frac{\\partial L}{\\partial w_{11}} = -0.5"),
    (
      "∂L/∂a₁⁽¹⁾·∂a₁/∂z₁",
      "\\frac{\\partial L}{\\partial a_{1}^{(1)}} \\cdot \\frac{\\partial a_{1}}{\\partial z_{1}}"
    ),
    ("√(σ²ⱼ + ε)", "\\sqrt{\\sigma ^{2}_{j} + \\varepsilon }"),
    ("1/(1 + e^−1.87)", "1/(1 + e^{-1.87})"),
    ("1.5e-8", "1.5 \\times 10^{-8}"), ("1e-6", "10^{-6}"), ("w₁₀,₂", "w_{10,2}"),
    ("m̂ + ĝ", "\\hat{m} + \\hat{g}"), ("β₁ᵗ", "\\beta _{1}^{t}"), ("tanh z", "\\tanh  z"),
    ("W⁽²⁾ᵀ", "W^{(2)\\mathsf{T}}"), ("η·sign(c)", "\\eta  \\cdot \\operatorname{sign}(c)"),
  ])
  func `is the same formula`(text: String, latex: String) {
    #expect(LaTeX.of(text) == latex)
  }

  @Test(arguments: try goldenCases() + [zoo()])
  func `has balanced braces, and no symbol that is left`(stepFile: StepFile) throws {
    let page = MarkdownRendering()(try Explanation(stepFile))
    for block in page.components(separatedBy: "```math").dropFirst() {
      let latex = block.components(separatedBy: "```")[0]
      let depth = latex.replacing("\\{", with: "").replacing("\\}", with: "")
        .reduce(0) { $0 + ($1 == "{" ? 1 : $1 == "}" ? -1 : 0) }
      #expect(depth == 0, "\(latex)")
      let left = latex.filter { !$0.isASCII }
      #expect(left.isEmpty)
    }
  }
}

@Suite struct `An explanation in Markdown` {
  @Test func `has the sections, equations and matrices of the text`() throws {
    let page = MarkdownRendering()(try Explanation(tutorial("two-two-one-linear")))
    #expect(page.hasPrefix("# two\\-two") || page.hasPrefix("# two-two-one-linear\n\n## The network\n"))
    for part in [
      "## Step 1 of 2\n\n### Forward\n",
      "z_{1} &= w_{11} \\cdot x_{1} + w_{12} \\cdot x_{2} = 0.12 \\cdot 2 + 0.33 \\cdot 3 = 1.23",
      "\\begin{bmatrix} 0.12 & 0.33 \\\\ 0.15 & 0.09 \\end{bmatrix}", "L &: 0.248663 \\to 0.184251",
    ] { #expect(page.replacing("  ", with: " ").contains(part.replacing("  ", with: " ")), "\(part)") }
  }

  @Test func `takes nothing in a name for markup`() throws {
    var stepFile = try tutorial("two-two-one-linear")
    stepFile.name = "<b>*x* [a](b) `c` | $d$"
    #expect(
      MarkdownRendering()(try Explanation(stepFile)).hasPrefix(
        "# \\<b\\>\\*x\\* \\[a\\](b) \\`c\\` \\| \\$d\\$\n"))
  }
}

@Suite struct `An explanation as a page` {
  private func page(_ stepFile: StepFile) throws -> String { try HTMLRendering()(try Explanation(stepFile)) }

  private func data(_ page: String) throws -> [String: Any] {
    let json = page.components(separatedBy: #"id="data">"#)[1].components(separatedBy: "</script>")[0]
    return try #require(JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
  }

  @Test(arguments: try goldenCases() + [zoo()])
  func `has the explanation as its data, and an equation for every neuron`(stepFile: StepFile) throws {
    let explanation = try Explanation(stepFile)
    let data = try data(HTMLRendering()(explanation))
    let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(explanation)) as? NSDictionary
    #expect(data["explanation"] as? NSDictionary == json)
    let steps = try #require(data["steps"] as? [[String: Any]])
    #expect(steps.count == explanation.batches.count)
    for layer in steps[0]["layers"] as! [[String: Any]] {
      let forward = try #require(layer["forward"] as? [[String]])
      let residual = forward.allSatisfy(\.isEmpty)
      #expect(!residual)
    }
  }

  @Test func `ends no element early, whatever the name`() throws {
    var stepFile = try tutorial("two-two-one-linear")
    stepFile.name = "</script><script>alert(1)</script>\u{2028}&amp;"
    let page = try page(stepFile)
    #expect(page.components(separatedBy: "</script>").count == 3)
    #expect(try data(page)["title"] as? String == stepFile.name)
  }

  @Test func `has at most 50 steps to slide over, the first and the last among them`() throws {
    var stepFile = try tutorial("two-two-one-linear")
    stepFile.repeat = 60
    let steps = try #require(data(page(stepFile))["steps"] as? [[String: Any]])
    #expect(steps.count == 50 && steps[0]["number"] as? Int == 1 && steps[49]["number"] as? Int == 120)
  }
}
