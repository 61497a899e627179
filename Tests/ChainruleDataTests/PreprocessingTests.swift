import Chainrule
import Foundation
import TestSupport
import Testing

@testable import ChainruleData

/// What scikit-learn makes of features: Tests/Fixtures/preprocessing/preprocessing.json, written by
/// generate.py beside it. nil stands for NaN.
struct PreprocessingFixture: Decodable {
  struct Scaling: Decodable {
    struct Range: Decodable {
      var low: Double
      var high: Double
      var minimum: [Double]
      var maximum: [Double]
      var train: [Double]
      var other: [Double]
    }
    var columns: Int
    var train: [Double]
    var other: [Double]
    var mean: [Double]
    var standardDeviation: [Double]
    var standardizedTrain: [Double]
    var standardizedOther: [Double]
    var ranges: [Range]
  }
  struct Imputation: Decodable {
    struct Strategy: Decodable {
      var values: [Double]
      var train: [Double]
      var other: [Double]
    }
    var columns: Int
    var train: [Double?]
    var other: [Double?]
    var strategies: [String: Strategy]
  }
  struct OneHot: Decodable {
    var train: [[String]]
    var other: [[String]]
    var categories: [[String]]
    var encodedTrain: [Double]
    var encodedOther: [Double]
  }
  struct Table: Decodable {
    struct Encoded: Decodable {
      var train: [Double]
      var other: [Double]
    }
    var csv: String
    var other: String
    var encoded: [String: Encoded]
  }
  struct ClassWeights: Decodable {
    var labels: [String]
    var weights: [String: Double]
  }
  struct Folds: Decodable {
    var labels: [Int]
    var count: Int
    var seed: UInt64
    var stratified: Bool
    var validation: [[Int]]
  }
  struct Split: Decodable {
    var labels: [Int]
    var fraction: Double
    var seed: UInt64
    var train: [Int]
    var test: [Int]
  }
  var scaling: [Scaling]
  var imputation: [Imputation]
  var oneHot: [OneHot]
  var table: Table
  var classWeights: [ClassWeights]
  var folds: [Folds]
  var splits: [Split]

  init() throws {
    let json = try Data(contentsOf: fixtures.appending(path: "preprocessing/preprocessing.json"))
    self = try JSONDecoder().decode(Self.self, from: json)
  }
}

/// The value after it was written as JSON and read again.
private func reread<Value: Codable>(_ value: Value) throws -> Value {
  try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value))
}

@Suite("Scaling")
struct ScalingTests {
  @Test func `a standardization is scikit-learn's StandardScaler`() throws {
    for expected in try PreprocessingFixture().scaling {
      let scaling = try Standardization(fitting: expected.train, columns: expected.columns)
      #expect(mismatch(scaling.mean, expected.mean, .float64) == nil)
      #expect(mismatch(scaling.standardDeviation, expected.standardDeviation, .float64) == nil)
      // x - μ loses the digits that x and μ share, here at most 8 of 16.
      let lost = zip(expected.mean, expected.standardDeviation).map { abs($0 / $1) }.max()!
      for (values, reference) in [
        (expected.train, expected.standardizedTrain), (expected.other, expected.standardizedOther),
      ] {
        let transformed = try scaling.transform(values)
        for (value, reference) in zip(transformed, reference) {
          #expect(abs(value - reference) <= 8 * .ulpOfOne * max(1, lost, abs(reference)))
        }
        #expect(mismatch(try scaling.inverseTransform(transformed), values, .float64) == nil)
      }
    }
  }

  @Test func `a range is scikit-learn's MinMaxScaler`() throws {
    for expected in try PreprocessingFixture().scaling {
      for range in expected.ranges {
        let scaling = try MinMaxScaling(
          fitting: expected.train, columns: expected.columns, to: range.low...range.high)
        #expect(scaling.minimum == range.minimum)
        #expect(scaling.maximum == range.maximum)
        let lost = zip(range.minimum, range.maximum).map { abs($0 / ($1 > $0 ? $1 - $0 : 1)) }.max()!
        for (values, reference) in [(expected.train, range.train), (expected.other, range.other)] {
          let transformed = try scaling.transform(values)
          for (value, reference) in zip(transformed, reference) {
            #expect(abs(value - reference) <= 16 * .ulpOfOne * max(1, lost, abs(reference)))
          }
          #expect(mismatch(try scaling.inverseTransform(transformed), values, .float64) == nil)
        }
      }
    }
  }

  @Test func `the data fitted have mean 0 and deviation 1, or span the range exactly`() throws {
    let iris = try Dataset<Float>.iris
    let standardized = try Standardization(fitting: iris).transform(iris)
    let again = try Standardization(fitting: standardized)
    for mean in again.mean { #expect(abs(mean) < 1e-6) }
    for deviation in again.standardDeviation { #expect(abs(deviation - 1) < 1e-6) }
    let scaled = try MinMaxScaling(fitting: iris, to: -1...1).transform(iris)
    let span = try MinMaxScaling(fitting: scaled)
    #expect(span.minimum == [-1, -1, -1, -1])
    #expect(span.maximum == [1, 1, 1, 1])
    // All else is as it was.
    for data in [standardized, scaled] {
      #expect(data.targets == iris.targets)
      #expect(data.featureNames == iris.featureNames)
      #expect(data.classLabels == iris.classLabels)
    }
    let back = try Standardization(fitting: iris).inverseTransform(standardized)
    #expect(mismatch(back.features, iris.features.map(Double.init), .float32) == nil)
    let restored = try MinMaxScaling(fitting: iris, to: -1...1).inverseTransform(scaled)
    #expect(mismatch(restored.features, iris.features.map(Double.init), .float32) == nil)
  }

  @Test func `a mean is right to the last digits however many rows`() throws {
    let tenths = [Double](repeating: 0.1, count: 100_000)  // whose sum is off by 2e-8
    let scaling = try Standardization(fitting: tenths, columns: 1)
    #expect(abs(scaling.mean[0] - 0.1) <= 0.1.ulp)
    #expect(scaling.standardDeviation == [1])
  }

  @Test func `a range of any width is spread`() throws {
    let scaling = try MinMaxScaling(fitting: [1e-20, 2e-20, 3e-20], columns: 1)
    #expect(try scaling.transform([1e-20, 3e-20]) == [0, 1])
    let constant = try MinMaxScaling(fitting: [4.0, 4], columns: 1, to: 2...3)
    #expect(try constant.transform([4.0, 4.5]) == [2, 2.5])
  }

  @Test func `a scaling is the same once saved`() throws {
    let iris = try Dataset<Double>.iris
    let standardization = try Standardization(fitting: iris)
    #expect(try reread(standardization) == standardization)
    let range = try MinMaxScaling(fitting: iris, to: -1...2)
    #expect(try reread(range) == range)
    for json in [
      #"{"mean": [1], "standardDeviation": [0]}"#, #"{"mean": [1], "standardDeviation": [1, 2]}"#,
      #"{"mean": [], "standardDeviation": []}"#, #"{"mean": [1]}"#,
    ] {
      #expect(throws: (any Error).self) {
        try JSONDecoder().decode(Standardization.self, from: Data(json.utf8))
      }
    }
    for json in [
      #"{"minimum": [1], "maximum": [0], "range": [0, 1]}"#,
      #"{"minimum": [1], "maximum": [2], "range": [1, 1]}"#,
      #"{"minimum": [1], "maximum": [2], "range": [1, 0]}"#,
      #"{"minimum": [], "maximum": [], "range": [0, 1]}"#,
    ] {
      #expect(throws: (any Error).self) {
        try JSONDecoder().decode(MinMaxScaling.self, from: Data(json.utf8))
      }
    }
  }

  @Test func `what cannot be scaled is refused`() throws {
    #expect(
      complaint { try Standardization(fitting: [1.0, .nan, 3, 4], columns: 2) }
        == "row 1, column 2: nan is not finite")
    #expect(
      complaint { try MinMaxScaling(fitting: [1.0, 2, 3, -.infinity], columns: 2) }
        == "row 2, column 2: -inf is not finite")
    #expect(
      complaint { try Standardization(fitting: [1.0, 2, 3], columns: 2) }
        == "values, to be a multiple of the columns: expected 2, got 3")
    #expect(
      complaint { try Standardization(fitting: [1.0], columns: 0) } == "columns is 0; expected at least 1")
    #expect(
      complaint { try Standardization(fitting: [Double](), columns: 1) } == "rows is 0; expected at least 1")
    #expect(
      complaint { try Standardization(fitting: [1, 1e200, 2, -1e200], columns: 2) }
        == "the standard deviation of column 2 overflows; its numbers are too large")
    #expect(
      complaint { try Standardization(mean: [0, 0], standardDeviation: [1, -1]) }
        == "the standard deviation of column 2 is -1.0; expected a finite number above 0")
    #expect(
      complaint { try Standardization(mean: [.nan], standardDeviation: [1]) }
        == "the mean of column 1 is nan; expected a finite number")
    #expect(
      complaint { try MinMaxScaling(fitting: [1.0, 2], columns: 1, to: 1...1) }
        == "the range is 1.0...1.0; expected two finite numbers, the first below the second")
    #expect(
      complaint { try MinMaxScaling(fitting: [1.0, 2], columns: 1, to: 0...(.infinity)) }
        .hasPrefix("the range is 0.0...inf;"))
    #expect(
      complaint { try MinMaxScaling(fitting: [-1e308, 1.7e308], columns: 1) }
        == "the maximum - minimum of column 1 is inf; expected a finite number, not below 0")

    let scaling = try Standardization(mean: [0, 0], standardDeviation: [1, 1e-10])
    #expect(
      complaint { try scaling.transform([1.0, 2, 3]) }
        == "values, to be a multiple of the columns fitted: expected 2, got 3")
    #expect(
      complaint { try scaling.transform([1.0, .infinity]) } == "row 1, column 2: inf is not finite")
    #expect(
      complaint { try scaling.transform([1, 2, 3, 3e38] as [Float]) }
        == "3e+38 in row 2, column 2 is scaled to inf")
    #expect(
      complaint { try scaling.transform(Dataset<Float>.iris) }
        == "features of the data set: expected 2, got 4")
    #expect(try scaling.transform([Double]()) == [])
  }
}

@Suite("Missing values")
struct ImputationTests {
  private let strategies: [String: Imputation.Strategy] = [
    "mean": .mean, "median": .median, "mostFrequent": .mostFrequent, "constant": .constant(-7.5),
  ]

  @Test func `an imputation is scikit-learn's SimpleImputer`() throws {
    for expected in try PreprocessingFixture().imputation {
      for (name, reference) in expected.strategies {
        let (train, other) = (expected.train.map { $0 ?? .nan }, expected.other.map { $0 ?? .nan })
        let strategy = try #require(strategies[name])
        let imputation = try Imputation(strategy, fitting: train, columns: expected.columns)
        #expect(mismatch(imputation.values, reference.values, .float64) == nil, "\(name)")
        #expect(mismatch(try imputation.transform(train), reference.train, .float64) == nil, "\(name)")
        #expect(mismatch(try imputation.transform(other), reference.other, .float64) == nil, "\(name)")
        #expect(try reread(imputation) == imputation)
      }
    }
  }

  @Test func `float32 is imputed as float64 is`() throws {
    for expected in try PreprocessingFixture().imputation {
      for (name, strategy) in strategies {
        let train = expected.train.map { $0.map { Float($0) } ?? .nan }
        let imputation = try Imputation(strategy, fitting: train, columns: expected.columns)
        let reference = try #require(expected.strategies[name]).train
        #expect(mismatch(try imputation.transform(train), reference, .float32) == nil, "\(name)")
      }
    }
  }

  @Test func `the arrays of the documentation`() throws {
    let rows: [Float] = [1, .nan, 3, 2, 5, .nan, 4, 7, 9]
    let imputation = try Imputation(.median, fitting: rows, columns: 3)  // rows × 3, row-major
    let features = try imputation.transform(rows)
    #expect(features == [1, 6, 3, 2, 5, 6, 4, 7, 9])
    let colours: [Float] = try OneHotEncoding(fitting: [["red"], ["blue"]], unknown: .zeros)
      .transform([["red"]])
    #expect(colours == [0, 1])
  }

  @Test func `means and medians of large numbers do not overflow`() throws {
    let large = [1.5e308, .nan, 1.7e308, -1.7e308, 1.6e308, 1.7e308]
    #expect(try Imputation(.median, fitting: large, columns: 1).values == [1.6e308])
    let two = [1.5e308, .nan, 1.7e308]
    #expect(try Imputation(.median, fitting: two, columns: 1).values == [1.6e308])
    #expect(try Imputation(.mean, fitting: [1.5e308, -1.5e308, .nan], columns: 1).values == [0])
  }

  @Test func `what cannot be imputed is refused`() throws {
    let nan = Double.nan
    for strategy in [.mean, .median, .mostFrequent] as [Imputation.Strategy] {
      #expect(
        complaint { try Imputation(strategy, fitting: [1, nan, 2, nan], columns: 2) }
          == "column 2 is missing in every row; expected a value in at least one, or a constant to take its place"
      )
      #expect(
        complaint { try Imputation(strategy, fitting: [1, nan], columns: 2, names: ["a", "b"]) }
          == "\"b\" is missing in every row; expected a value in at least one, or a constant to take its place"
      )
    }
    #expect(try Imputation(.constant(3), fitting: [1, nan], columns: 2).values == [3, 3])
    #expect(
      complaint { try Imputation(.constant(.infinity), fitting: [1.0], columns: 1) }
        == "the value of column 1 is inf; expected a finite number")
    #expect(
      complaint { try Imputation(.mean, fitting: [1, .infinity], columns: 1) }
        == "row 2, column 1: inf is not finite")
    #expect(
      complaint { try Imputation(.mean, fitting: [1, nan], columns: 2, names: ["a"]) }
        == "names of features: expected 2, got 1")
    let imputation = try Imputation(values: [1, 1e300])
    #expect(
      complaint { try imputation.transform([1.0]) }
        == "values, to be a multiple of the columns fitted: expected 2, got 1")
    #expect(
      complaint { try imputation.transform([1, -Double.infinity]) } == "row 1, column 2: -inf is not finite")
    #expect(
      complaint { try imputation.transform([Float.nan, 1]) }
        == "the value of column 2 is 1e+300; expected a number that fits in float32")
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(Imputation.self, from: Data(#"{"values": []}"#.utf8))
    }
  }
}

@Suite("Categories")
struct OneHotEncodingTests {
  @Test func `an encoding is scikit-learn's OneHotEncoder`() throws {
    for expected in try PreprocessingFixture().oneHot {
      let encoding = try OneHotEncoding(fitting: expected.train, unknown: .zeros)
      #expect(encoding.categories == expected.categories)
      #expect(encoding.outputs == expected.categories.reduce(0) { $0 + $1.count })
      #expect(try encoding.transform(expected.train) == expected.encodedTrain)
      #expect(try encoding.transform(expected.other) == expected.encodedOther)
      #expect(try encoding.transform(expected.other) == expected.encodedOther.map { Float($0) })
      #expect(try reread(encoding) == encoding)
    }
  }

  @Test func `an unknown category is an error unless it is to be zeros`() throws {
    let encoding = try OneHotEncoding(fitting: [["b", "x"], ["a", "x"]])
    #expect(
      complaint { try encoding.transform([["a", "x"], ["c", "x"]], as: Float.self) }
        == "row 2, column 1: the category \"c\" is unknown; the categories are a, b")
    #expect(
      complaint { try encoding.transform([["a"]], as: Float.self) }
        == "columns of row 1: expected 2, got 1")
  }

  @Test func `categories that are numbers are ordered as numbers`() throws {
    #expect(try OneHotEncoding(fitting: [["10"], ["2"], ["-1"]]).categories == [["-1", "2", "10"]])
  }

  @Test func `what cannot be encoded is refused`() throws {
    #expect(complaint { try OneHotEncoding(fitting: []) } == "rows is 0; expected at least 1")
    #expect(complaint { try OneHotEncoding(fitting: [[]]) } == "columns is 0; expected at least 1")
    #expect(
      complaint { try OneHotEncoding(fitting: [["a", "b"], ["a"]]) }
        == "columns of row 2: expected 2, got 1")
    #expect(
      complaint { try OneHotEncoding(categories: [["a"], ["b", "b"]]) }
        == "a category of column 2 is \"b\"; expected each category once")
    #expect(
      complaint { try OneHotEncoding(categories: [["a"], []]) }
        == "the number of categories of column 2 is 0; expected 1 … 4096")
    #expect(
      complaint { try OneHotEncoding(fitting: (0..<4097).map { ["\($0)"] }) }
        == "the number of categories of column 1 is 4097; expected 1 … 4096")
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(
        OneHotEncoding.self, from: Data(#"{"categories": [[]], "unknown": "error"}"#.utf8))
    }
  }
}

@Suite("Features of a table")
struct FeatureEncodingTests {
  private let text = """
    size,colour,doors,price
    1.5,red,4,10.5
    ,blue,2,8.5
    2.5,,NA,9.5
    0.5,blue,?,9.25

    """
  private func table(_ text: String, _ options: CSVOptions = CSVOptions()) throws -> CSVTable {
    try CSVTable(bytes: Array(text.utf8), options: options)
  }
  private let options = CSVOptions(categorical: ["colour"], missing: .median)

  @Test func `values for missing cells may be those of some rows, categories are those of all`() throws {
    let known = try table(text, options)
    let encoding = try FeatureEncoding(fitting: known, valuesOf: [0, 2])
    #expect(
      encoding.columns == [
        .number(.init(missing: 2)), .category(.init(["blue", "red"], missing: "red")),
        .number(.init(missing: 4)),
      ])
    #expect(try Dataset<Double>(csv: known, encoding: encoding)[row: 1].features == [2, 1, 0, 2])
    #expect(try FeatureEncoding(fitting: known, valuesOf: [0, 1, 2, 3]) == FeatureEncoding(fitting: known))
    // In row 3 the number of doors is missing, and so in all of them.
    #expect(throws: ChainruleError.self) { try FeatureEncoding(fitting: known, valuesOf: [2, 3]) }
  }

  @Test func `the rows of a split are told`() throws {
    let data = try Dataset<Double>(csv: table(text, options))
    let (train, test) = try data.split(holdingOut: 0.5, seed: 3)
    let rows = try data.splitRows(holdingOut: 0.5, seed: 3)
    #expect(rows.train.flatMap { Array(data[row: $0].features) } == train.features)
    #expect(rows.test.flatMap { Array(data[row: $0].features) } == test.features)
    #expect((rows.train + rows.test).sorted() == [0, 1, 2, 3])
  }

  @Test func `numbers and categories with holes are as scikit-learn makes them`() throws {
    let expected = try PreprocessingFixture().table
    let strategies: [String: Imputation.Strategy] = [
      "mean": .mean, "median": .median, "mostFrequent": .mostFrequent,
    ]
    for (name, strategy) in strategies {
      let reference = try #require(expected.encoded[name])
      let known = try table(
        expected.csv, CSVOptions(categorical: ["colour", "class size"], missing: strategy))
      let encoding = try FeatureEncoding(fitting: known)
      let data = try Dataset<Double>(csv: known)
      #expect(mismatch(data.features, reference.train, .float64) == nil, "\(name)")
      #expect(try Dataset<Double>(csv: known, encoding: encoding) == data)
      #expect(
        data.featureNames == [
          "size", "colour=blue", "colour=green", "colour=red", "doors", "class size=L", "class size=M",
          "class size=S",
        ])
      #expect(data.targetNames == ["price"])
      // The columns of the other table stand in another order, and it was read with other options.
      let other: [Double] = try encoding.features(of: table(expected.other))
      #expect(mismatch(other, reference.other, .float64) == nil, "\(name)")
      let floats: [Float] = try reread(encoding).features(of: table(expected.other))
      #expect(mismatch(floats, reference.other, .float32) == nil, "\(name)")
      #expect(try reread(encoding) == encoding)
    }
  }

  @Test
  func `a constant takes the place of every missing number, and the most frequent category of a category`()
    throws
  {
    var options = options
    options.missing = .constant(-1)
    let data = try Dataset<Double>(csv: table(text, options))
    #expect(data.features == [1.5, 0, 1, 4, -1, 1, 0, 2, 2.5, 1, 0, -1, 0.5, 1, 0, -1])
  }

  @Test func `numbers that are missing are NaN for an imputation`() throws {
    let table = try table(text, options)
    let numbers: [Double] = try table.numbersOrMissing(inColumns: [2, 0])
    #expect(numbers.map { $0.isNaN ? -1 : $0 } == [4, 1.5, 2, -1, -1, 2.5, -1, 0.5])
    #expect(complaint { try table.numbersOrMissing(inColumns: [1], as: Float.self) }.contains("is \"red\""))
  }

  @Test func `the texts of missing cells can be chosen, numbers among them`() throws {
    let options = CSVOptions(missing: .mean, missingTexts: ["-999", "none"])
    #expect(
      try Dataset<Double>(csv: table("a,y\n-999.0,1.5\nNone,2.5\n3,3.5\n", options)).features == [3, 3, 3])
    #expect(
      complaint { try Dataset<Double>(csv: table("a,y\n1,1.5\n,2.5\n", options)) }
        == "line 3, column 1: a is empty; expected a number; if the column is categorical: --categorical a"
    )
    let floats = CSVOptions(missing: .constant(0), missingTexts: ["-99.9"])
    #expect(try Dataset<Float>(csv: table("a,y\n-99.90,1.5\n2,2.5\n", floats)).features == [0, 2])
  }

  @Test func `a missing or infinite cell is refused where nothing takes its place`() throws {
    #expect(
      complaint { try Dataset<Double>(csv: table(text, CSVOptions(categorical: ["colour"]))) }
        .hasPrefix("line 3, column 1: size is empty; expected a number"))
    #expect(
      complaint { try Dataset<Double>(csv: table(text)) }
        == "line 2, column 2: colour is \"red\"; expected a number; if the column is categorical: "
        + "--categorical colour")
    #expect(
      complaint { try Dataset<Double>(csv: table("a,y\n1,2.5\ninf,3.5\n", options(.mean))) }
        == "line 3, column 1: a is \"inf\"; expected a finite number")
    #expect(
      complaint { try Dataset<Double>(csv: table("a,y\n1,2.5\nx,3.5\n", options(.mean))) }
        == "line 3, column 1: a is \"x\"; expected a number; if the column is categorical: --categorical a"
    )
    #expect(
      complaint { try Dataset<Double>(csv: table("a,b,y\n1,,2.5\n2,?,3.5\n", options(.mean))) }
        == "\"b\" is missing in every row; leave it out: --ignore b")
    var categorical = options(.mean)
    categorical.categorical = ["b"]
    #expect(
      complaint { try Dataset<Double>(csv: table("a,b,y\n1,,2.5\n2,?,3.5\n", categorical)) }
        == "\"b\" is missing in every row; leave it out: --ignore b")
    #expect(
      complaint { try Dataset<Float>(csv: table("a,y\n1,2.5\n,3.5\n", options(.constant(1e39)))) }
        == "line 3, column 1: a: 1e+39 is too large for float32")
  }

  private func options(_ missing: Imputation.Strategy) -> CSVOptions { CSVOptions(missing: missing) }

  @Test func `a row whose target is missing is left out, and is no class`() throws {
    for options in [CSVOptions(), options(.mean), .anyTable()] {
      let classes = try Dataset<Double>(csv: table("a,y\n1,p\n2,NA\n3,q\n", options))
      #expect(classes.classLabels == ["p", "q"])
      #expect(classes.features == [1, 3])
      #expect(try Dataset<Double>(csv: table("a,y\n1,2.5\n2,\n3,4\n", options)).targets == [2.5, 4])
      #expect(
        complaint { try Dataset<Double>(csv: table("a,y\n1,\n2,?\n", options)) }
          == "the target y is missing in every row")
    }
  }

  @Test func `an unknown category is refused with its place, or all zeros`() throws {
    let known = try table("colour,y\nred,1.5\nblue,2.5\n", CSVOptions(categorical: ["colour"]))
    let new = try table("y,colour\n7,red\n8,pink\n")
    #expect(
      complaint { try FeatureEncoding(fitting: known).features(of: new, as: Float.self) }
        == "line 3, column 2: colour: the category \"pink\" is unknown; the categories are blue, red")
    var lenient = known
    lenient.options.unknownCategory = .zeros
    #expect(try FeatureEncoding(fitting: lenient).features(of: new, as: Float.self) == [0, 1, 0, 0])
  }

  @Test func `a table without names goes by place`() throws {
    let options = CSVOptions(categorical: ["1"], missing: .mean)
    let known = try table("red,1,2.5\nblue,,3.5\n", options)
    #expect(known.columnNames == nil)
    let encoding = try FeatureEncoding(fitting: known)
    #expect((encoding.outputs, encoding.featureNames) == (3, nil))
    #expect(try Dataset<Double>(csv: known).features == [0, 1, 1, 1, 0, 1])
    #expect(try encoding.features(of: table("colour,size\nred,3\n")) == [0, 1, 3])
    #expect(
      complaint { try encoding.features(of: known, as: Float.self) }
        .isEmpty == false)
    // The first row is no header for a missing cell in it.
    #expect(try Dataset<Double>(csv: table("NA,1,2.5\n4,2,3.5\n", CSVOptions(missing: .mean))).rows == 2)
  }

  @Test func `the second column of a name gets another, which is said`() throws {
    let twins = try table("a,a,a.1,y\n1,2,3,0.5\n3,4,5,1.5\n")
    let encoding = try FeatureEncoding(fitting: twins)
    let data = try Dataset<Float>(csv: twins)
    #expect(data.features == [1, 2, 3, 3, 4, 5])
    #expect(data.featureNames == ["a", "a.2", "a.1"])
    #expect(try Dataset<Float>(csv: twins, encoding: encoding) == data)
    #expect(twins.notes == ["more than one column is named a: the second is called \"a.1\", and so on"])
  }

  @Test func `columns that do not fit together are refused`() throws {
    #expect(
      complaint { try Dataset<Float>(csv: table(text, CSVOptions(categorical: ["price"]))) }
        == "\"price\" is categorical, but not a feature")
    #expect(
      complaint { try Dataset<Float>(csv: table(text, CSVOptions(categorical: ["shape"]))) }
        .hasPrefix("there is no column \"shape\";"))
    #expect(
      complaint { try Dataset<Float>(csv: table(text, CSVOptions(features: ["size", "1"]))) }
        == "\"size\" is a feature twice")
    let encoding = try FeatureEncoding(fitting: table(text, options))
    #expect(
      complaint { try encoding.features(of: table("size,doors\n1,2\n"), as: Float.self) }
        == "there is no column \"colour\"; the columns are size, doors")
    let many = "id,y\n" + (0...4096).map { "n\($0),0.5\n" }.joined()
    #expect(
      complaint { try Dataset<Float>(csv: table(many, CSVOptions(categorical: ["id"]))) }
        == "the number of categories of \"id\" is 4097; expected 1 … 4096")
  }

  @Test(arguments: [
    #"{"columns": [], "missingTexts": [], "unknown": "error"}"#,
    #"{"columnNames": ["a", "b"], "columns": [{}], "missingTexts": [], "unknown": "error"}"#,
    #"{"columns": [{"categories": []}], "missingTexts": [], "unknown": "error"}"#,
    #"{"columns": [{"categories": ["a", "a"]}], "missingTexts": [], "unknown": "error"}"#,
    #"{"columns": [{"categories": ["a"], "missing": "b"}], "missingTexts": [], "unknown": "error"}"#,
    #"{"columns": [{"missing": 1e999}], "missingTexts": [], "unknown": "error"}"#,
    #"{"columns": [{}], "missingTexts": [], "unknown": "error", "decimal": "x"}"#,
    #"{"columns": [{}], "missingTexts": [], "unknown": "error", "layout": {"width": 1, "features": [1], "targets": []}}"#,
    #"{"columns": [{}], "missingTexts": [], "unknown": "maybe"}"#,
  ])
  func `an encoding that no table would give is refused`(json: String) {
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(FeatureEncoding.self, from: Data(json.utf8))
    }
  }

  @Test func `no beginning of a text is a crash`() throws {
    let bytes = Array(text.utf8)
    for count in 0..<bytes.count {
      guard let table = try? CSVTable(bytes: Array(bytes[..<count]), options: options) else { continue }
      if let encoding = try? FeatureEncoding(fitting: table) {
        _ = try? Dataset<Float>(csv: table, encoding: encoding)
      }
    }
  }

  @Test func `the example of the documentation`() async throws {
    let text = """
      area,heating,rooms,price
      70,gas,3,210
      55,electric,,150
      120,heat pump,5,420
      85,,4,260
      60,gas,2,175
      140,heat pump,6,480
      95,electric,4,255
      ,gas,3,205

      """
    let options = CSVOptions(target: ["price"], task: .regression, categorical: ["heating"], missing: .median)
    let table = try CSVTable(bytes: Array(text.utf8), options: options)
    let encoding = try FeatureEncoding(fitting: table)
    let houses = try Dataset<Float>(csv: table, encoding: encoding)

    let (train, test) = try houses.split(holdingOut: 0.25, seed: 1)
    let scaling = try Standardization(fitting: train)
    let prices = try Standardization(fitting: train.targets, columns: 1)
    let scaled = try Dataset(
      features: scaling.transform(train).features, targets: prices.transform(train.targets),
      rows: train.rows, inputs: train.inputs, outputs: 1)

    let network = try Network<Float>(inputs: encoding.outputs, seed: 1) {
      Dense(8, activation: .tanh)
      Dense(1)
    }
    let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .adam(learningRate: 0.01))
    for try await _ in trainer.epochs(100, on: scaled, batchSize: 4) {}

    let new = try CSVTable(bytes: Array("heating,rooms,area\ngas,3,65\n".utf8))
    let features: [Float] = try scaling.transform(encoding.features(of: new))
    let price = try prices.inverseTransform(network.predict(features))
    let saved = try JSONEncoder().encode(encoding)

    #expect(
      encoding.featureNames == ["area", "heating=electric", "heating=gas", "heating=heat pump", "rooms"])
    #expect((train.rows, test.rows) == (6, 2))
    #expect(100...400 ~= price[0])
    #expect(try JSONDecoder().decode(FeatureEncoding.self, from: saved) == encoding)
  }
}
