/// Joins names to a list: "a, b and c".
package func list(_ names: [String], _ conjunction: String = "and") -> String {
  names.count < 2
    ? names.joined() : names.dropLast().joined(separator: ", ") + " \(conjunction) " + names[names.count - 1]
}

/// Returns the name in `names` that `text` stands for: an exact match, a match that ignores case, hyphens and
/// underscores, or the name for an alias of other libraries. Returns `nil` if there is none.
package func canonicalName(_ text: String, among names: [String]) -> String? {
  if names.contains(text) { return text }
  let bare = bareName(text)
  let usual = otherNames[bare].map(bareName)
  return names.first { bareName($0) == bare } ?? names.first { usual == bareName($0) }
}

private func bareName(_ text: String) -> String {
  String(String.UnicodeScalarView(text.lowercased().unicodeScalars.filter { $0 != "-" && $0 != "_" }))
}

/// Aliases of names in the catalogue, from PyTorch, Keras, scikit-learn and papers; without case, hyphens and
/// underscores.
private let otherNames = [
  "linear": "identity", "none": "identity", "logistic": "sigmoid", "swish": "silu",
  "mse": "meanSquaredError", "mseloss": "meanSquaredError", "l2": "meanSquaredError",
  "mae": "meanAbsoluteError", "l1": "meanAbsoluteError", "l1loss": "meanAbsoluteError",
  "smoothl1": "huber", "smoothl1loss": "huber", "huberloss": "huber", "bce": "binaryCrossEntropy",
  "bceloss": "binaryCrossEntropy", "ce": "crossEntropy", "crossentropyloss": "crossEntropy",
  "categoricalcrossentropy": "crossEntropy", "logloss": "crossEntropy", "nll": "crossEntropy",
  "glorot": "glorotUniform", "xavier": "glorotUniform", "xavieruniform": "glorotUniform",
  "xaviernormal": "glorotNormal", "kaiminguniform": "heUniform", "kaimingnormal": "heNormal",
  "he": "heNormal",
  "float": "float32", "double": "float64", "lm": "levenbergMarquardt", "reducelronplateau": "plateau",
  "onecyclelr": "oneCycle",
]

/// Returns the name that `text` most likely means: ``canonicalName(_:among:)``, or else the name with the
/// smallest edit distance: letters changed, removed, added or swapped with the next one. The distance is at
/// most a third of the letters; otherwise returns `nil` (Damerau 1964).
package func nearest(to text: String, among names: [String]) -> String? {
  if let name = canonicalName(text, among: names) { return name }
  let letters = Array(text.lowercased().unicodeScalars)
  let best = names.map { (distance(letters, Array($0.lowercased().unicodeScalars)), $0) }.min { $0.0 < $1.0 }
  return best.flatMap { $0.0 <= max(1, letters.count / 3) ? $0.1 : nil }
}

private func distance(_ a: [UnicodeScalar], _ b: [UnicodeScalar]) -> Int {
  // rows[i][j]: the edit distance between the first i letters of a and the first j of b.
  var rows = [Array(0...b.count)]
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var least = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, rows[i - 1][j - 1] + 1) }
      row.append(least)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
