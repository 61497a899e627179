/// The data sets included in Chainrule.
public enum BundledDataset: String, Sendable, CaseIterable {
  /// ``Dataset/digits``
  case digits
  /// ``Dataset/iris``
  case iris
  /// ``Dataset/xor``
  case xor
  /// ``Dataset/spirals``
  case spirals
}

extension Dataset {
  /// Returns one of the data sets included in Chainrule.
  public static func bundled(_ set: BundledDataset) throws(ChainruleError) -> Dataset {
    switch set {
    case .digits: try digits
    case .iris: try iris
    case .xor: xor
    case .spirals: spirals
    }
  }

  /// Returns the included data set with this name.
  ///
  /// - Throws: `ChainruleError.invalidValue` for any other name; the error lists the names.
  public static func bundled(named name: String) throws(ChainruleError) -> Dataset {
    guard let set = BundledDataset(rawValue: name) else {
      throw .invalidValue(
        name: "the data set", value: "\"\(name)\"",
        expected: "one of " + BundledDataset.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return try bundled(set)
  }

  /// Handwritten digits: 1797 images of 8 × 8 grey levels from 0 to 1 (in sixteenths), row-major, in the
  /// classes "0" to "9".
  ///
  /// The test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
  /// Learning Repository, 1998, doi:10.24432/C50P49, licensed under CC BY 4.0.
  public static var digits: Dataset {
    get throws(ChainruleError) {
      var features: [Scalar] = []
      var labels: [String] = []
      features.reserveCapacity(1797 * 64)
      labels.reserveCapacity(1797)
      for line in digitsText.utf8.split(separator: UInt8(ascii: "\n")) {
        // Grey levels are written as digits: 0 … 9, then a … g for 10 … 16.
        for character in line.prefix(64) {
          let level = character < UInt8(ascii: "a") ? character - UInt8(ascii: "0") : character - 87
          features.append(Scalar(level) / 16)
        }
        labels.append(String(decoding: line.dropFirst(65), as: UTF8.self))
      }
      return try Dataset(features: features, inputs: 64, labels: labels)
    }
  }

  /// Iris flowers: the length and width of sepal and petal in cm of 150 flowers, 50 of each class: setosa,
  /// versicolor and virginica.
  ///
  /// R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 1936;
  /// in the public domain.
  public static var iris: Dataset {
    get throws(ChainruleError) { try Dataset(csv: irisText) }
  }

  /// Exclusive or: the four pairs of x₁ and x₂, each 0 or 1, and the one target y = x₁ ⊕ x₂.
  public static var xor: Dataset {
    Dataset(
      vouchedFeatures: [0, 0, 0, 1, 1, 0, 1, 1], targets: [0, 1, 1, 0], rows: 4, inputs: 2, outputs: 1,
      featureNames: ["x1", "x2"], targetNames: ["y"], classLabels: nil, sampleWeights: nil)
  }

  /// Two interleaved spirals of about one and a half turns, 500 points each, alternating, in the classes
  /// "0" and "1".
  ///
  /// Point i of class 1 has the radius r = (i + 25) / 125 and the angle φ = i π / 160, so
  /// (x, y) = (r sin φ, r cos φ); class 0 has -(x, y). After K. Lang and M. Witbrock, "Learning to tell two
  /// spirals apart", 1988, whose spirals make three turns.
  public static var spirals: Dataset {
    // sin and cos of π/160. The others follow by rotation, so that no bit depends on the platform's libm.
    let (sine, cosine) = (0.0196336924606283, 0.9998072404820648)
    var (x, y) = (0.0, 1.0)
    var features: [Scalar] = []
    var targets: [Scalar] = []
    for i in 0..<500 {
      let radius = Double(i + 25) / 125
      features += [Scalar(radius * x), Scalar(radius * y), Scalar(-radius * x), Scalar(-radius * y)]
      targets += [0, 1, 1, 0]
      (x, y) = (x * cosine + y * sine, y * cosine - x * sine)
    }
    return Dataset(
      vouchedFeatures: features, targets: targets, rows: 1000, inputs: 2, outputs: 2,
      featureNames: ["x", "y"], targetNames: nil, classLabels: ["0", "1"], sampleWeights: nil)
  }
}
