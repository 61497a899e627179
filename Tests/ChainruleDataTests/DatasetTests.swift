import TestSupport
import Testing

@testable import ChainruleData

@Suite("Data sets")
struct DatasetTests {
  /// Twelve rows that can be told apart: row r has the features r and -r and the target 10 r.
  private func numbered() throws -> Dataset<Double> {
    try Dataset(
      features: (0..<12).map { [Double($0), -Double($0)] }, targets: (0..<12).map { [10 * Double($0)] },
      featureNames: ["a", "b"], targetNames: ["y"], sampleWeights: (1...12).map(Double.init))
  }

  @Test func `arrays of rows become row-major matrices`() throws {
    let data = try Dataset<Float>(features: [[1, 2, 3], [4, 5, 6]], targets: [[7], [8]])
    #expect(data.features == [1, 2, 3, 4, 5, 6])
    #expect(data.targets == [7, 8])
    #expect((data.rows, data.inputs, data.outputs) == (2, 3, 1))
    #expect(data[row: 1].features == [4, 5, 6])
    #expect(data[row: 1].targets == [8])
    #expect(data.labels == nil)
  }

  @Test func `labels become one-hot targets in ascending order`() throws {
    let data = try Dataset<Float>(features: [[0], [1], [2]], labels: ["pear", "apple", "pear"])
    #expect(data.classLabels == ["apple", "pear"])
    #expect(data.targets == [0, 1, 1, 0, 0, 1])
    #expect(data.labels == [1, 0, 1])
  }

  @Test func `labels that are numbers are ordered as numbers`() throws {
    let data = try Dataset<Float>(features: [[0], [1], [2], [3]], labels: [10, 2, -1, 2])
    #expect(data.classLabels == ["-1", "2", "10"])
    #expect(data.labels == [2, 1, 0, 1])
    let mixed = try Dataset<Float>(features: [[0], [1], [2]], labels: ["10", "2", "many"])
    #expect(mixed.classLabels == ["10", "2", "many"])
  }

  @Test func `targets of so many classes that they would fill any memory are refused`() throws {
    func check<Scalar: NetworkScalar>(_ rows: Int, _ classes: Int, _ inputs: Int, _: Scalar.Type) -> String {
      complaint { try Dataset<Scalar>.checkOneHot(rows: rows, classes: classes, inputs: inputs) }
    }
    // 2³⁰ bytes, and one row more; 100 times the features, and one class more.
    #expect(check(1 << 14, 1 << 14, 1, Float.self).hasPrefix("no error"))
    #expect(check(1 << 13, 1 << 14, 1, Double.self).hasPrefix("no error"))
    let message =
      "; expected at most 1073741824, or 100 times those of the features; is this a regression?"
    #expect(
      check(16385, 1 << 14, 1, Float.self) == "16385 rows of 16384 classes make targets of 1073807360 bytes"
        + message)
    #expect(
      check(8193, 1 << 14, 1, Double.self) == "8193 rows of 16384 classes make targets of 1073872896 bytes"
        + message)
    #expect(check(1 << 30, 16_400, 164, Float.self).hasPrefix("no error"))
    #expect(check(1 << 30, 16_401, 164, Float.self).contains("16401 classes"))

    // Each row a class of its own, by every way to classes.
    let numbers = (0..<16_385).map { Float($0) }
    let refused = "16385 rows of 16385 classes make targets of 1073872900 bytes"
    #expect(
      complaint { try Dataset(features: numbers.map { [$0] }, labels: numbers.map { Int($0) }) }.hasPrefix(
        refused))
    let text = numbers.map { "\($0),k\(Int($0))\n" }.joined()
    let table = try CSVTable(bytes: Array(text.utf8), file: "x.csv")
    #expect(complaint { try Dataset<Float>(csv: table) }.hasPrefix("x.csv: " + refused))
    let header = Array("{'descr': '<f4', 'fortran_order': False, 'shape': (16385,), }\n".utf8)
    let array = try NumPyArray(
      bytes: [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
        + numbers.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } },
      file: "y.npy")
    #expect(
      complaint { try Dataset<Float>(features: array, targets: array, task: .classification) }
        .hasPrefix("y.npy: " + refused))

    let shape: [UInt8] = [0, 0, 0x40, 1]
    let images = try TemporaryFile([0, 0, 8, 1] + shape + [UInt8](repeating: 7, count: 16_385))
    let labels = try TemporaryFile(
      [0, 0, 0x0C, 1] + shape + (0..<16_385).flatMap { [0, 0, UInt8($0 >> 8), UInt8($0 & 255)] })
    #expect(
      complaint { try Dataset<Float>(idxImages: images.path, labels: labels.path) }
        .hasPrefix("\(labels.path): " + refused))
    // Batch by batch they are not held; in a buffer of all rows they would be.
    let source = try IDXSource<Float>(images: images.path, labels: labels.path)
    var batches = try source.makeBatches(of: 2)
    #expect(try batches.next()?.labels == [0, 1])
    #expect(complaint { try Dataset(source) }.hasPrefix(refused))
    var shuffled = try source.shuffled(buffer: 20_000, seed: 1).makeBatches(of: 2)
    #expect(complaint { try shuffled.next() }.hasPrefix(refused))
    shuffled = try source.shuffled(buffer: 100, seed: 1).makeBatches(of: 2)
    #expect(try shuffled.next()?.rows == 2)
  }

  @Test func `sizes that disagree are refused`() {
    #expect(throws: ChainruleError.shapeMismatch(what: "features", expected: 4, actual: 3)) {
      try Dataset<Float>(features: [1, 2, 3], targets: [1, 2], rows: 2, inputs: 2, outputs: 1)
    }
    #expect(throws: ChainruleError.shapeMismatch(what: "features, row 2", expected: 2, actual: 1)) {
      try Dataset<Float>(features: [[1, 2], [3]], targets: [[1], [2]])
    }
    #expect(throws: ChainruleError.shapeMismatch(what: "rows of targets", expected: 2, actual: 1)) {
      try Dataset<Float>(features: [[1, 2], [3, 4]], targets: [[1]])
    }
    #expect(throws: ChainruleError.shapeMismatch(what: "names of features", expected: 1, actual: 2)) {
      try Dataset<Float>(features: [[1]], targets: [[1]], featureNames: ["a", "b"])
    }
    for what in ["features", "targets"] {
      let twice = ["é", "y", "é"]
      #expect(
        throws: ChainruleError.invalidValue(
          name: "the names of the \(what)", value: "\"é\" twice", expected: "each once")
      ) {
        try Dataset<Float>(
          features: [[1, 2, 3]], targets: [[1, 2, 3]], featureNames: what == "features" ? twice : nil,
          targetNames: what == "targets" ? twice : nil)
      }
    }
    #expect(throws: ChainruleError.invalidValue(name: "a class", value: "\"y\"", expected: "each class once"))
    {
      try Dataset<Float>(
        features: [1, 2], targets: [1, 0, 0, 1], rows: 2, inputs: 1, outputs: 2, classLabels: ["y", "y"])
    }
    #expect(throws: ChainruleError.self) {
      try Dataset<Float>(features: [[1], [2]], labels: ["a"])
    }
    #expect(throws: ChainruleError.self) { try Dataset<Float>(features: [], targets: []) }
    #expect(throws: ChainruleError.self) { try Dataset<Float>(features: [[], []], targets: [[1], [2]]) }
    #expect(throws: ChainruleError.self) {
      try Dataset<Float>(features: [], targets: [], rows: .max, inputs: 2, outputs: 1)
    }
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity])
  func `a number that is not finite is refused with its place`(value: Double) {
    #expect {
      try Dataset<Double>(features: [[1, 2], [3, 4], [5, value]], targets: [[1], [2], [3]])
    } throws: { error in
      "\(error)" == "features, row 3, column 2: \(value) is not finite"
    }
    #expect {
      try Dataset<Double>(features: [[1], [2]], targets: [[1], [value]])
    } throws: { error in
      "\(error)" == "targets, row 2, column 1: \(value) is not finite"
    }
  }

  @Test(arguments: [[0.0, 0], [1, 1], [0.5, 0.5], [2, 0]])
  func `targets with class labels must be one-hot`(row: [Double]) {
    #expect {
      try Dataset(
        features: [1, 2], targets: [0, 1] + row, rows: 2, inputs: 1, outputs: 2, classLabels: ["a", "b"])
    } throws: { error in
      "\(error)".hasPrefix("targets, row 2: ")
    }
  }

  @Test func `weights are one a row, not negative and not all zero`() throws {
    let data = try numbered()
    #expect(try data.withSampleWeights(Array(repeating: 2, count: 12)).sampleWeights?[11] == 2)
    for weights in [[1], Array(repeating: 0, count: 12), [-1] + Array(repeating: 1, count: 11)] as [[Double]]
    {
      #expect(throws: ChainruleError.self) { try data.withSampleWeights(weights) }
    }
    #expect(throws: ChainruleError.self) {
      try data.withSampleWeights([.nan] + Array(repeating: 1, count: 11))
    }
  }

  @Test func `a slice copies its rows with their names and weights`() throws {
    let slice = try numbered()[rows: 3..<5]
    #expect(slice.features == [3, -3, 4, -4])
    #expect(slice.targets == [30, 40])
    #expect(slice.sampleWeights == [4, 5])
    #expect(slice.rows == 2)
    #expect(slice.featureNames == ["a", "b"])
    #expect(slice.targetNames == ["y"])
  }

  @Test func `a split is a permutation of the rows`() throws {
    let (train, test) = try numbered().split(holdingOut: 0.3, seed: 5)
    #expect((train.rows, test.rows) == (8, 4))  // round(3.6)
    var rows: Set<Double> = []
    for part in [train, test] {
      for index in 0..<part.rows {
        let row = part[row: index]
        let number = row.features.first!
        #expect(Array(row.features) == [number, -number])
        #expect(Array(row.targets) == [10 * number])
        #expect(part.sampleWeights?[index] == number + 1)
        rows.insert(number)
      }
      #expect(part.featureNames == ["a", "b"])
    }
    #expect(rows == Set((0..<12).map(Double.init)))
  }

  @Test func `a seed gives the same split everywhere`() throws {
    // Worked out apart, in Python: SplitMix64, Lemire's bounded draw, Fisher–Yates from the last place.
    let (train, test) = try numbered().split(holdingOut: 0.25, seed: 1)
    #expect(test.targets.map { $0 / 10 } == [7, 0, 4])
    #expect(train.targets.map { $0 / 10 } == [1, 2, 11, 5, 10, 3, 9, 8, 6])
    #expect(try numbered().split(holdingOut: 0.25, seed: 2).test != test)
  }

  @Test(arguments: [0, 1, -0.5, 1.5, 0.01, 0.99, Double.nan])
  func `a split that leaves a part empty is refused`(fraction: Double) {
    #expect(throws: ChainruleError.self) { try numbered().split(holdingOut: fraction, seed: 1) }
  }

  @Test func `SplitMix64 gives its published values`() {
    var generator = SplitMix64(seed: 1_234_567)
    let values: [UInt64] = [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
    ]
    for value in values { #expect(generator.next() == value) }
  }

  @Test func `bounded draws are even`() {
    var generator = SplitMix64(seed: 3)
    var counts = [Int](repeating: 0, count: 6)
    for _ in 0..<60_000 { counts[Int(generator.next(below: 6))] += 1 }
    // Six standard deviations of a binomial with n = 60000, p = 1/6: 6 · 91.3.
    for count in counts { #expect(abs(count - 10_000) < 548) }
    // With a bound just above 2⁶³ almost half the words are refused.
    let bound: UInt64 = 1 << 63 + 1
    for _ in 0..<100 { #expect(generator.next(below: bound) < bound) }
  }

  @Test func `classes can take a model's order, with classes that do not occur`() throws {
    let data = try Dataset<Float>(features: [[0], [1], [2]], labels: ["b", "c", "b"])
    let ordered = try data.withClasses(["c", "a", "b"])
    #expect(ordered.labels == [2, 0, 2])
    #expect(ordered.outputs == 3)
    #expect(ordered.features == data.features)
    #expect(throws: ChainruleError.self) { try data.withClasses(["a", "b"]) }
    #expect(throws: ChainruleError.self) { try Dataset<Float>.xor.withClasses(["0", "1"]) }
  }
}

@Suite("Bundled data sets")
struct BundledDatasetTests {
  @Test func `digits are scikit-learn's load_digits`() throws {
    let digits = try Dataset<Float>.digits
    #expect((digits.rows, digits.inputs, digits.outputs) == (1797, 64, 10))
    #expect(digits.classLabels == (0...9).map(String.init))
    let labels = try #require(digits.labels)
    let counts = (0...9).map { digit in labels.count { $0 == digit } }
    #expect(counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    #expect(labels.prefix(10) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    // load_digits().data.sum() and its mean; sixteenths are exact.
    let sum = digits.features.reduce(0.0) { $0 + Double($1) } * 16
    #expect(sum == 561_718)
    #expect(sum / Double(digits.features.count) == 4.884164579855314)
    #expect(digits.features.max() == 1 && digits.features.min() == 0)
    #expect(digits.features[0..<16].map { $0 * 16 } == [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0])
  }

  @Test func `iris is scikit-learn's load_iris`() throws {
    let iris = try Dataset<Double>.iris
    #expect((iris.rows, iris.inputs, iris.outputs) == (150, 4, 3))
    #expect(iris.classLabels == ["setosa", "versicolor", "virginica"])
    #expect(iris.featureNames == ["sepal_length", "sepal_width", "petal_length", "petal_width"])
    #expect(iris.labels == [0, 1, 2].flatMap { Array(repeating: $0, count: 50) })
    let sums = (0..<4).map { column in
      stride(from: column, to: 600, by: 4).reduce(0) { $0 + iris.features[$1] }
    }
    for (sum, expected) in zip(sums, [876.5, 458.6, 563.7, 179.9]) { #expect(abs(sum - expected) < 1e-9) }
    // The two rows that many copies have wrong.
    #expect(iris[row: 34].features == [4.9, 3.1, 1.5, 0.2])
    #expect(iris[row: 37].features == [4.9, 3.6, 1.4, 0.1])
  }

  @Test func `xor is true where its inputs differ`() {
    let xor = Dataset<Float>.xor
    #expect((xor.rows, xor.inputs, xor.outputs) == (4, 2, 1))
    for index in 0..<4 {
      let row = xor[row: index]
      #expect(row.targets.first == (row.features.first != row.features.last ? 1 : 0))
    }
  }

  @Test func `spirals are two arms that mirror each other`() throws {
    let spirals = Dataset<Double>.spirals
    #expect((spirals.rows, spirals.inputs, spirals.outputs) == (1000, 2, 2))
    let labels = try #require(spirals.labels)
    #expect(labels.count { $0 == 0 } == 500)
    for i in 0..<500 {
      let one = Array(spirals[row: 2 * i].features)
      #expect(Array(spirals[row: 2 * i + 1].features) == [-one[0], -one[1]])
      #expect((labels[2 * i], labels[2 * i + 1]) == (1, 0))
      let radius = (one[0] * one[0] + one[1] * one[1]).squareRoot()
      #expect(abs(radius - Double(i + 25) / 125) < 1e-12)
    }
    // Half a turn, i = 160, points down: (0, -r).
    #expect(abs(spirals[row: 320].features.first!) < 1e-12)
    #expect(abs(spirals[row: 320].features.last! + 185.0 / 125) < 1e-12)
  }

  @Test func `every bundled set is found by its name`() throws {
    for set in BundledDataset.allCases {
      #expect(try Dataset<Float>.bundled(named: set.rawValue) == Dataset<Float>.bundled(set))
    }
    #expect {
      try Dataset<Float>.bundled(named: "mnist")
    } throws: { error in
      "\(error)".contains("digits, iris, xor, spirals")
    }
  }

  @Test func `every bundled set passes the checks of a new one`() throws {
    for set in BundledDataset.allCases {
      let data = try Dataset<Float>.bundled(set)
      let checked = try Dataset(
        features: data.features, targets: data.targets, rows: data.rows, inputs: data.inputs,
        outputs: data.outputs, featureNames: data.featureNames, targetNames: data.targetNames,
        classLabels: data.classLabels)
      #expect(checked == data)
    }
  }

  @Test func `a split of digits reads as in the documentation`() throws {
    let (train, test) = try Dataset<Float>.digits.split(holdingOut: 0.2, seed: 1)
    #expect((train.rows, test.rows) == (1438, 359))
  }
}
