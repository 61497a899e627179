extension Dataset {
  /// Returns weights that give the same total weight to every class that occurs: rows / (classes × rows of
  /// the class).
  ///
  /// They are those of scikit-learn's `class_weight="balanced"` (King and Zeng 2001), and their mean over the
  /// rows is 1. A class that does not occur has no weight. Existing sample weights have no effect.
  /// - Throws: `ChainruleError.invalidValue` for a regression.
  public func balancedClassWeights() throws(ChainruleError) -> [String: Double] {
    let (names, labels) = try classes(for: "class weights")
    var counts = [Int](repeating: 0, count: names.count)
    for label in labels { counts[label] += 1 }
    let occurring = names.indices.filter { counts[$0] > 0 }
    return Dictionary(
      uniqueKeysWithValues: occurring.map { label in
        (names[label], Double(rows) / (Double(occurring.count) * Double(counts[label])))
      })
  }

  /// Returns the same rows with their weights in the loss multiplied by those of their classes; a class
  /// without a weight has 1.
  ///
  ///     let balanced = try train.weighted(byClass: train.balancedClassWeights())
  ///
  /// - Throws: `ChainruleError.invalidValue` for a regression, for the name of an unknown class, for a weight
  ///   that is negative or not finite, or if all rows would have the weight 0.
  public func weighted(byClass weights: [String: Double]) throws(ChainruleError) -> Dataset {
    let (names, labels) = try classes(for: "class weights")
    for (name, weight) in weights.sorted(by: { $0.key < $1.key }) {
      guard names.contains(name) else {
        throw .invalidValue(
          name: "a class weight", value: "for \"\(name)\"",
          expected: "one of the classes \(enumeration(names))")
      }
      guard weight >= 0, Scalar(weight).isFinite else {
        throw .invalidValue(
          name: "the weight of class \"\(name)\"", value: "\(weight)", expected: "a finite number ≥ 0")
      }
    }
    let factors = names.map { Scalar(weights[$0] ?? 1) }
    let old = sampleWeights ?? Array(repeating: 1, count: rows)
    return try withSampleWeights(zip(old, labels).map { $0 * factors[$1] })
  }
}
