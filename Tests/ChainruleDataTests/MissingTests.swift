import Chainrule
import TestSupport
import Testing

@testable import ChainruleData

@Suite struct `Missing cells` {
  @Test(arguments: CSVOptions.usualMissingTexts + ["na", "NULL", "nan", "none", "n/a"])
  func `are known by their usual texts, in features, categories and targets`(text: String) throws {
    let table = "a,c,y\n1,u,1.5\n\(text),v,2.5\n3,\(text),3.5\n6,u,\(text)\n5,v,4.5\n"
    let reading = try read(table)
    #expect(reading.names == ["a", "a is missing", "c=u", "c=v", "c is missing"])
    // The median of 1, 3 and 5: the row without a target tells nothing.
    #expect(
      reading.rows == [[1, 0, 1, 0, 0], [3, 1, 0, 1, 0], [3, 0, 0, 0, 1], [5, 0, 0, 1, 0]])
    #expect(reading.data.targets == [1.5, 2.5, 3.5, 4.5])
    // In the first row too.
    #expect(try read("a,y\n\(text),1.5\n2,\(text)\n4,3\n5,0.5\n").rows == [[4.5, 1], [4, 0], [5, 0]])
  }

  @Test func `in a target are no class, and are counted`() throws {
    let texts = [
      ("a,y\n1,NA\n2,3.5\n3,4.25\n4,5.125\n", 2), ("a,y\n1,3.5\n2,NA\n3,4.25\n4,5.125\n", 3),
      ("a,y\n1,u\n2,?\n3,v\n4,u\n", 3),
    ]
    for (text, line) in texts {
      let reading = try read(text, CSVOptions())
      #expect(reading.data.rows == 3)
      #expect(reading.data.classLabels.map { $0 == ["u", "v"] } ?? true)
      var report = EncodingReport()
      let table = try CSVTable(bytes: Array(text.utf8))
      _ = try Dataset<Float>(
        csv: table, encoding: reading.encoding.features, targets: reading.encoding.targets, report: &report)
      #expect((report.missingTargets, report.firstMissingTarget) == (1, line))
      let file = try TemporaryFile(Array(text.utf8))
      let source = try CSVSource<Float>(file: file.path, chunk: 16)
      #expect((source.report.missingTargets, source.report.firstMissingTarget) == (1, line))
      #expect(source.rowCount == 3)
    }
    #expect(complaint { try Dataset<Float>(csv: "a,y\n1,NA\n2,\n") }.contains("missing in every row"))
  }

  @Test func `have the texts that the options add, numbers however they are written`() throws {
    var options = CSVOptions.anyTable()
    options.missingTexts += ["-999", "unknown"]
    let reading = try read(
      "a,c,y\n1,u,1.5\n-999.0,-999.0,2.5\n3,Unknown,-999\n-999,v,-9.99e2\n8,u,1.25\n", options)
    #expect(reading.names == ["a", "a is missing", "c=u", "c is missing"])
    #expect(reading.rows == [[1, 0, 1, 0], [4.5, 1, 0, 1], [8, 0, 1, 0]])
    #expect(reading.data.targets == [1.5, 2.5, 1.25])
    // A category all the same where an unknown one is an error.
    options.unknownCategory = .error
    #expect(try read("c,y\nu,1.5\n-999.0,2.5\nv,3\nu,4\n", options).names == ["c=u", "c=v", "c is missing"])
    // Without them they are numbers.
    #expect(try read("a,y\n1,1.5\n-999,2.5\n3,1.25\n").rows == [[1], [-999], [3]])
  }

  @Test func `do not decide what a column is, and nor does its first cell`() throws {
    // A text among many numbers is a slip, which is an error at its place.
    let numbers = (0..<30).map { "\($0 * 7).5,1.5\n" }.joined()
    #expect(
      complaint { try read("a,y\noops,1.5\n" + numbers) }.hasSuffix(
        "line 2, column 1: a is \"oops\"; expected a number; if the column is categorical: --categorical a"
      ))
    // Numbers among texts are categories.
    let reading = try read("a,y\n1,1.5\n2,2.5\n3+,3.5\n1,1.25\n")
    #expect(reading.names == ["a=1", "a=2", "a=3+"])
    #expect(try read("a,y\n3+,1.5\n1,2.5\n2,3.5\n2,1.25\n").names == ["a=1", "a=2", "a=3+"])
    #expect(try read("a,y\nNA,1.5\n1,2.5\n2,3.5\n2,1.25\n").names == ["a", "a is missing"])
  }

  @Test func `have a feature with a name of its own, whatever the columns are called`() throws {
    let reading = try read("a,a is missing,y\nNA,0.5,1.5\n1,0.25,2.5\n2,1,3.5\n2,3,1.25\n")
    #expect(reading.names == ["a", "a is missing", "a is missing.1"])
    #expect(reading.rows[0] == [2, 1, 0.5])
    // Features of the same name are refused.
    #expect(try reading.data.withSampleWeights([1, 2, 3, 4]).featureNames == reading.names)
    let network = try Network<Double>(inputs: 3) { Dense(1) }
    try network.adoptNames(of: reading.data)
    #expect(try Model(network).featureNames == reading.names)
  }

  @Test func `without a strategy are errors that name it, among numbers and categories`() {
    for text in ["a,y\n1,2\n,3.5\n", "a,y\n1,2\nNA,3.5\n"] {
      #expect(
        complaint { try Dataset<Float>(csv: text) }.hasSuffix(
          "expected a number; to fill such gaps: --missing median"))
    }
    var options = CSVOptions.anyTable()
    options.missing = nil
    options.indicatesMissing = false
    for text in ["a,y\nu,2\nv,1\nNA,3.5\n", "a,y\nu,2\nv,1\n,3.5\n"] {
      #expect(
        complaint { try read(text, options) }.hasSuffix(
          "line 4, column 1: a: the cell is missing; expected a category; to fill such gaps: --missing median"
        ))
    }
  }

  @Test func `of the weights and the targets are not offered a filling`() {
    let options = CSVOptions(weights: "w", missing: .median)
    #expect(
      complaint { try Dataset<Float>(csv: "a,w,y\n1,2,3.5\n1,NA,3.5\n", options: options) }
        .hasSuffix("line 3, column 2: w is \"NA\"; expected the weight of the row, a number of at least 0"))
    #expect(
      complaint { try Dataset<Float>(csv: "a,y\n1,2.5\n1,x\n", options: CSVOptions(task: .regression)) }
        .hasSuffix("y is \"x\"; expected a number; if the targets are classes: --task classification"))
  }
}
