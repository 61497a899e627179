import Chainrule
import TestSupport
import Testing

@testable import ChainruleData

/// Row r has the feature r, the class `labels[r]` and the weight r + 1.
private func numbered(_ labels: [Int]) throws -> Dataset<Double> {
  try Dataset(
    features: labels.indices.map { [Double($0)] }, labels: labels, featureNames: ["row"],
    sampleWeights: labels.indices.map { Double($0 + 1) })
}

/// The rows of a part of a numbered data set, after a check that each is whole.
private func rows(_ part: Dataset<Double>, of labels: [Int]) throws -> [Int] {
  let classes = try #require(part.classLabels)
  let found = try #require(part.labels)
  for (row, label) in zip(part.features, found) {
    #expect(classes[label] == "\(labels[Int(row)])")
  }
  #expect(part.sampleWeights == part.features.map { $0 + 1 })
  #expect(part.featureNames == ["row"])
  return part.features.map { Int($0) }
}

@Suite("Splits and folds")
struct FoldsTests {
  @Test func `folds are those worked out apart, in Python`() throws {
    for expected in try PreprocessingFixture().folds {
      let data = try numbered(expected.labels)
      let folds = try data.folds(expected.count, seed: expected.seed, stratified: expected.stratified)
      #expect(folds.count == expected.count)
      for (index, fold) in folds.enumerated() {
        let validation = try rows(fold.validation, of: expected.labels)
        #expect(validation == expected.validation[index])
        #expect(validation == (try folds.validationRows(ofFold: index)))
        let train = try rows(fold.train, of: expected.labels)
        #expect(Set(train + validation) == Set(expected.labels.indices))
        #expect(train.count + validation.count == expected.labels.count)
      }
    }
  }

  @Test(arguments: [2, 3, 7, 10, 59, 60]) func `each row is validated on once, in folds of equal size`(
    count: Int
  )
    throws
  {
    let labels = (0..<60).map { $0 < 40 ? 0 : $0 < 55 ? 1 : $0 < 59 ? 2 : 3 }
    let data = try numbered(labels)
    for stratified in [false, true] {
      let folds = try data.folds(count, seed: 9, stratified: stratified)
      let parts = try folds.map { try rows($0.validation, of: labels) }
      #expect(parts.joined().sorted() == Array(0..<60))
      let sizes = parts.map(\.count)
      #expect(sizes.max()! - sizes.min()! <= 1)
      guard stratified else { continue }
      for label in 0..<4 {
        let counts = parts.map { part in part.count { labels[$0] == label } }
        #expect(counts.max()! - counts.min()! <= 1)
      }
    }
  }

  @Test func `a seed gives the same folds, another one others`() throws {
    let iris = try Dataset<Float>.iris
    let first = try iris.folds(5, seed: 1, stratified: true)
    #expect(try iris.folds(5, seed: 1, stratified: true)[3].validation == first[3].validation)
    #expect(try iris.folds(5, seed: 2, stratified: true)[3].validation != first[3].validation)
    for (train, validation) in first {
      #expect(validation.labels?.count { $0 == 0 } == 10)
      #expect((train.rows, validation.rows) == (120, 30))
    }
    // A collection as any other.
    #expect(first.last?.train.rows == 120)
    #expect(first.dropFirst(4).count == 1)
  }

  @Test func `folds that cannot be are refused`() throws {
    let xor = Dataset<Float>.xor
    for count in [5, 1, 0, -3, .max] {
      #expect(
        throws: ChainruleError.invalidValue(
          name: "the number of folds", value: "\(count)", expected: "2 … 4, the number of rows")
      ) {
        try xor.folds(count, seed: 1)
      }
    }
    #expect(
      complaint { try Dataset<Float>(features: [[1]], targets: [[2]]).folds(2, seed: 1) }
        == "the number of folds is 2; expected at least 2, and as many rows; there is 1")
    let regression = try Dataset<Float>(features: [[0], [1]], targets: [[0.5], [1]])
    #expect(
      complaint { try regression.folds(2, seed: 1, stratified: true) }
        == "the data set is a regression; expected classes, for stratified folds")
    #expect(
      complaint { try regression.split(holdingOut: 0.5, seed: 1, stratified: true) }
        == "the data set is a regression; expected classes, for a stratified split")
  }

  @Test func `a target of 0 and 1 is classes to stratify by`() throws {
    let data = try Dataset<Float>(
      features: (0..<20).map { [Float($0)] }, targets: (0..<20).map { [$0 < 15 ? 0 : 1] })
    for (_, validation) in try data.folds(5, seed: 4, stratified: true) {
      #expect(validation.targets.reduce(0, +) == 1)
    }
    #expect(try data.split(holdingOut: 0.4, seed: 4, stratified: true).test.targets.reduce(0, +) == 2)
  }

  @Test func `a stratified split is the one worked out apart, in Python`() throws {
    for expected in try PreprocessingFixture().splits {
      let (train, test) = try numbered(expected.labels).split(
        holdingOut: expected.fraction, seed: expected.seed, stratified: true)
      #expect(try rows(test, of: expected.labels) == expected.test)
      #expect(try rows(train, of: expected.labels) == expected.train)
    }
  }

  @Test func `each class keeps its share, and is in both parts from 2 rows on`() throws {
    var generator = SplitMix64(seed: 11)
    for _ in 0..<200 {
      let classes = 1 + Int(generator.next(below: 6))
      var labels: [Int] = []
      for label in 0..<classes {
        labels += Array(repeating: label, count: 1 + Int(generator.next(below: 30)))
      }
      let fraction = Double(1 + generator.next(below: 98)) / 100
      guard
        let (train, test) = try? numbered(labels).split(holdingOut: fraction, seed: 1, stratified: true)
      else {
        // No class of two rows or more, which would be in both parts.
        #expect((0..<classes).allSatisfy { label in labels.count { $0 == label } == 1 })
        continue
      }
      let (trainRows, testRows) = (try rows(train, of: labels), try rows(test, of: labels))
      #expect((trainRows + testRows).sorted() == Array(labels.indices))
      var isBound = true
      for label in 0..<classes {
        let count = labels.count { $0 == label }
        let heldOut = testRows.count { labels[$0] == label }
        let share = Double(count) * fraction
        if count == 1 {
          #expect(heldOut == 0)
        } else {
          #expect(1..<count ~= heldOut)
          #expect(abs(Double(heldOut) - share) < 1)
        }
        if count == 1 || share < 1 || share > Double(count - 1) { isBound = false }
      }
      if isBound { #expect(test.rows == Int((Double(labels.count) * fraction).rounded())) }
    }
  }

  @Test func `a stratified split without a class of two rows is refused`() throws {
    #expect(
      complaint { try numbered([0, 1, 2]).split(holdingOut: 0.5, seed: 1, stratified: true) }
        == "the fraction held out is 0.5, 0 of 3 rows; expected at least one row in each part")
  }

  @Test func `the example of the documentation`() async throws {
    let iris = try Dataset<Float>.iris
    var accuracies: [Double] = []
    for (train, validation) in try iris.folds(5, seed: 1, stratified: true) {
      let scaling = try Standardization(fitting: train)
      let network = try Network<Float>(inputs: 4, seed: 1) {
        Dense(8, activation: .tanh)
        Dense(3, activation: .softmax)
      }
      let trainer = try Trainer(network, loss: .crossEntropy, optimizer: .adam(learningRate: 0.01))
      for try await _ in trainer.epochs(40, on: try scaling.transform(train)) {}
      accuracies.append(try network.evaluate(scaling.transform(validation)).accuracy)
    }
    let mean = accuracies.reduce(0, +) / Double(accuracies.count)
    #expect(mean > 0.9)
  }
}

@Suite("Class weights")
struct ClassWeightsTests {
  @Test func `balanced weights are scikit-learn's`() throws {
    for expected in try PreprocessingFixture().classWeights {
      let data = try Dataset<Double>(
        features: expected.labels.indices.map { [Double($0)] }, labels: expected.labels)
      #expect(try data.balancedClassWeights() == expected.weights)
      // A class that does not occur changes nothing.
      let more = try data.withClasses(["none"] + data.classLabels!)
      #expect(try more.balancedClassWeights() == expected.weights)
      let balanced = try data.weighted(byClass: expected.weights)
      #expect(balanced.sampleWeights == expected.labels.map { expected.weights[$0] })
      #expect(balanced.features == data.features && balanced.classLabels == data.classLabels)
    }
  }

  @Test func `class weights multiply those there are`() throws {
    let data = try Dataset<Float>(
      features: [[0], [1], [2]], labels: ["a", "b", "a"], sampleWeights: [1, 2, 3])
    #expect(try data.weighted(byClass: ["a": 0.5]).sampleWeights == [0.5, 2, 1.5])
    #expect(try Dataset<Float>.xor.weighted(byClass: ["1": 3]).sampleWeights == [1, 3, 3, 1])
    #expect(try Dataset<Float>.xor.balancedClassWeights() == ["0": 1, "1": 1])
  }

  @Test func `weights that cannot be are refused`() throws {
    let data = try Dataset<Float>(features: [[0], [1], [2]], labels: ["a", "b", "a"])
    #expect(
      complaint { try data.weighted(byClass: ["a": 1, "c": 2]) }
        == "a class weight is for \"c\"; expected one of the classes a, b")
    for weight in [-1, Double.nan, .infinity, 1e39] {
      #expect(
        complaint { try data.weighted(byClass: ["b": weight]) }
          == "the weight of class \"b\" is \(weight); expected a finite number ≥ 0")
    }
    #expect(throws: ChainruleError.self) { try data.weighted(byClass: ["a": 0, "b": 0]) }
    let regression = try Dataset<Float>(features: [[0], [1]], targets: [[0.5], [1]])
    let reason = "the data set is a regression; expected classes, for class weights"
    #expect(complaint { try regression.balancedClassWeights() } == reason)
    #expect(complaint { try regression.weighted(byClass: [:]) } == reason)
  }
}
