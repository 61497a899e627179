/// Turns a formula of Unicode text into LaTeX: wⱼᵢ⁽²⁾·δⱼ into w_{ji}^{(2)} \cdot \delta_{j}.
///
/// Formulas are written once, as text. This reads the few forms that they have.
struct LaTeX {
  private var text: [Character]
  private var at = 0

  static func of(_ formula: String) -> String {
    var latex = LaTeX(text: Array(formula))
    return latex.all { _ in false }
  }

  private init(text: [Character]) { self.text = text }

  private var current: Character? { at < text.count ? text[at] : nil }

  /// All up to a character at which `ends` holds, which stays.
  private mutating func all(until ends: (Character) -> Bool) -> String {
    var result = ""
    while let character = current, !ends(character) { result += next() }
    return result
  }

  private mutating func next() -> String {
    let character = text[at]
    if let index = Self.lowered[character] { return run(Self.lowered, index, "_") }
    if let exponent = Self.raised[character] { return run(Self.raised, exponent, "^") }
    switch character {
    case "∂": return partial()
    case "√":
      at += 1
      return "\\sqrt{\(atom())}"
    case "^":
      at += 1
      return "^{\(atom())}"
    default: break
    }
    if character.isASCII && (character.isLetter || character.isNumber) { return word() }
    at += 1
    return Self.symbols[character] ?? Self.hat(character) ?? String(character)
  }

  /// Indices or exponents that stand together; a comma between two indices is one of them.
  private mutating func run(_ table: [Character: String], _ first: String, _ sign: String) -> String {
    var inner = ""
    while let character = current {
      if let letter = table[character] {
        inner += letter
      } else if character == ",", sign == "_", at + 1 < text.count, table[text[at + 1]] != nil {
        inner += ","
      } else {
        break
      }
      at += 1
    }
    return "\(sign){\(inner)}"
  }

  /// ∂L/∂w as a fraction; ∂a alone as it is.
  private mutating func partial() -> String {
    let start = at
    let ends: (Character) -> Bool = { " ·=,()/".contains($0) }
    at += 1
    let above = all(until: ends)
    guard at + 1 < text.count, text[at] == "/", text[at + 1] == "∂" else {
      at = start + 1
      return "\\partial "
    }
    at += 2
    let below = all(until: ends)
    return "\\frac{\\partial \(above)}{\\partial \(below)}"
  }

  /// What a root or an exponent applies to: a number, a symbol or what is in parentheses.
  private mutating func atom() -> String {
    var sign = ""
    if current == "−" {
      sign = "-"
      at += 1
    }
    guard current == "(" else {
      if current == "√" { return sign + next() }
      return sign + all { " ·/=,()+−".contains($0) }
    }
    at += 1
    var depth = 1
    let start = at
    while let character = current {
      depth += character == "(" ? 1 : character == ")" ? -1 : 0
      if depth == 0 { break }
      at += 1
    }
    let inner = Self.of(String(text[start..<at]))
    at += 1
    return sign + inner
  }

  /// A number, a name or a word.
  private mutating func word() -> String {
    let start = at
    if text[at].isNumber {
      while let character = current, character.isASCII, character.isNumber || character == "." { at += 1 }
      let mantissa = String(text[start..<at])
      guard current == "e", at + 1 < text.count, text[at + 1].isNumber || text[at + 1] == "-" else {
        return mantissa
      }
      at += 2
      let exponentStart = at - 1
      while let character = current, character.isASCII, character.isNumber { at += 1 }
      let power = "10^{\(String(text[exponentStart..<at]))}"
      return mantissa == "1" ? power : "\(mantissa) \\times \(power)"
    }
    while let character = current, character.isASCII, character.isLetter { at += 1 }
    let word = String(text[start..<at])
    if Self.functions.contains(word) { return "\\\(word) " }
    if word.count == 1 { return word }
    return current == "(" ? "\\operatorname{\(word)}" : "\\text{ \(word) }"
  }

  private static func hat(_ character: Character) -> String? {
    if character == "ĝ" { return "\\hat{g}" }
    let scalars = character.unicodeScalars
    guard scalars.count == 2, scalars.last == "\u{302}" else { return nil }
    return "\\hat{\(String(scalars.first!))}"
  }

  private static let functions: Set = ["tanh", "cosh", "log", "max", "min"]

  private static let lowered: [Character: String] = [
    "₀": "0", "₁": "1", "₂": "2", "₃": "3", "₄": "4", "₅": "5", "₆": "6", "₇": "7", "₈": "8", "₉": "9",
    "ᵢ": "i", "ⱼ": "j", "ₖ": "k", "ₜ": "t", "₊": "+", "₋": "-",
  ]

  private static let raised: [Character: String] = [
    "⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9",
    "⁽": "(", "⁾": ")", "⁺": "+", "⁻": "-", "ᵗ": "t", "ᶻ": "z", "ᵃ": "a", "ᵀ": "\\mathsf{T}",
  ]

  private static let symbols: [Character: String] = [
    "·": " \\cdot ", "−": "-", "←": "\\leftarrow ", "→": "\\to ", "½": "\\tfrac{1}{2}", "π": "\\pi ",
    "Σ": "\\textstyle\\sum ", "‖": "\\|", "′": "'", "…": "\\dots ", "±": "\\pm ",
    "α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ", "δ": "\\delta ", "ε": "\\varepsilon ",
    "η": "\\eta ", "λ": "\\lambda ", "μ": "\\mu ", "ρ": "\\rho ", "σ": "\\sigma ", "ψ": "\\psi ",
    "Π": "\\Pi ", "%": "\\%", "#": "\\#", "&": "\\&", "_": "\\_", "{": "\\{", "}": "\\}", "$": "\\$",
    "\\": "\\backslash ",
  ]
}
