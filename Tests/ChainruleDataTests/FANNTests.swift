import Foundation
import TestSupport
import Testing

@testable import ChainruleData

@Suite("FANN")
struct FANNTests {
  private func read(_ text: String) throws -> Dataset<Double> {
    try Dataset(fann: FANNFile(bytes: Array(text.utf8), file: "x.train"))
  }

  @Test func `every layout that libfann reads has the numbers that libfann reads`() throws {
    struct File: Decodable { let text: String, inputs: [[String]], outputs: [[String]] }
    let files = try JSONDecoder().decode(
      [File].self, from: Data(contentsOf: fixtures.appending(path: "fann/fann.json")))
    #expect(files.count == 74)
    for file in files {
      let inputs = try file.inputs.map { try $0.map { try #require(Double($0)) } }
      let outputs = try file.outputs.map { try $0.map { try #require(Double($0)) } }
      let bytes = Array(file.text.utf8)
      let read = try FANNFile(bytes: bytes)
      let sizes: [Int] = [read.rows, read.inputs, read.outputs]
      #expect(sizes == [inputs.count, inputs[0].count, outputs[0].count])
      let values = try read.values(as: Double.self)
      #expect(values.inputs == Array(inputs.joined()), "\(file.text)")
      #expect(values.outputs == Array(outputs.joined()), "\(file.text)")
      let floats: [Float] = inputs.joined().map { Float($0) }
      if floats.allSatisfy(\.isFinite) {
        #expect(try read.values(as: Float.self).inputs == floats, "\(file.text)")
      }
      #expect(try DataFile(bytes: bytes).format == .fann, "\(file.text)")
      let onDisk = try TemporaryFile(bytes)
      #expect(try DataFile.format(ofFile: onDisk.path) == .fann, "\(file.text)")
    }
  }

  @Test func `a byte order mark is skipped`() throws {
    #expect(try read("\u{FEFF}1 1 1\n2\n3.5\n").targets == [3.5])
  }

  @Test func `whole numbers in one output are classes as in CSV`() throws {
    #expect(try read("4 2 1\n-1 -1\n-1\n-1 1\n1\n1 -1\n1\n1 1\n-1\n").classLabels == ["-1", "1"])
    let two = try read("2 1 2\n1\n0 1\n2\n1 0\n")
    #expect(two.targets == [0, 1, 1, 0] && two.classLabels == nil)
    let file = try FANNFile(bytes: Array("2 1 2\n1\n0 1\n2\n1 0\n".utf8))
    #expect(try Dataset<Float>(fann: file, task: .classification).labels == [1, 0])
  }

  @Test(arguments: [
    (
      "",
      "x.train, line 1: expected the number of rows, a whole number of at least 1; found the end of the file"
    ),
    (
      "2 1\n",
      "x.train, line 2: expected the number of outputs, a whole number of at least 1; found the end of the file"
    ),
    ("0 1 1\n", "line 1, column 1: expected the number of rows, a whole number of at least 1; found \"0\""),
    (
      "2 1.0 1\n",
      "line 1, column 2: expected the number of inputs, a whole number of at least 1; found \"1.0\""
    ),
    (
      "2\n1\n-1\n",
      "line 3, column 1: expected the number of outputs, a whole number of at least 1; found \"-1\""
    ),
    (
      "# XOR\n4 2 1\n",
      "line 1, column 1: expected the number of rows, a whole number of at least 1; found \"#\""
    ),
    ("99999999999999999999 1 1\n", "found \"99999999999999999999\". FANN's data begin with three numbers"),
    (
      "9 9 9\n1\n",
      "line 1: the header says 9 rows of 9 inputs and 9 outputs; the file's 8 bytes cannot hold so many numbers"
    ),
    ("9223372036854775807 9223372036854775807 9223372036854775807\n", "cannot hold so many numbers"),
    ("2 9223372036854775807 1\n1\n1\n", "cannot hold so many numbers"),
    (
      "2 1 1\n1\n2\n3\n",
      "line 5: the file ends before output 1 of row 2; the header says 2 rows of 1 inputs and 1 outputs"
    ),
    ("2 1 2\n1 2 3\n4 5", "line 3: the file ends before output 2 of row 2"),
    ("1 2 1\n1 2x\n2\n", "line 2, column 2: input 2 of row 1 is \"2x\"; expected a finite number"),
    ("1 2 1\n1 nan\n2\n", "line 2, column 2: input 2 of row 1 is \"nan\"; expected a finite number"),
    ("1 2 1\n-inf 1\n2\n", "line 2, column 1: input 1 of row 1 is \"-inf\"; expected a finite number"),
    (
      "1 2 1\n1 2\nInfinity\n",
      "line 3, column 1: output 1 of row 1 is \"Infinity\"; expected a finite number"
    ),
    ("1 2 1\n1 0x\n2\n", "line 2, column 2: input 2 of row 1 is \"0x\""),
    ("1 2 1\n1 1e\n2\n", "line 2, column 2: input 2 of row 1 is \"1e\""),
    ("1 2 1\n1-2 3\n", "line 2, column 1: input 1 of row 1 is \"1-2\""),
    ("1 2 1\n1 2 # a\n3\n", "line 2, column 3: output 1 of row 1 is \"#\""),
    (
      "1 2 1\n1 1,5\n2\n",
      "input 2 of row 1 is \"1,5\"; expected a finite number. FANN's data cannot contain commas"
    ),
    (
      "1 2 1\n1 2\n1e999\n",
      "line 3, column 1: output 1 of row 1 is \"1e999\"; expected a finite number of float64"
    ),
    ("1 2 1\r\n1 2\r\nx\r\n", "line 3, column 1: output 1 of row 1 is \"x\""),
    ("1 2 1\r1 2\rx", "line 3, column 1: output 1 of row 1 is \"x\""),
    (
      "1 2 1\n1 2\n3\n\n4\n",
      "line 5, column 1: \"4\" follows the last of the 3 numbers of 1 rows of 2 inputs and 1 outputs"
    ),
    ("1 2 1\n1 2 3 the end\n", "line 2, column 4: \"the\" follows the last of the 3 numbers"),
  ])
  func `an error names the line and the number`(text: String, message: String) {
    let found = complaint { try read(text) }
    #expect(found.hasPrefix("x.train") && found.contains(message), "\(found)")
  }

  @Test(arguments: [
    // Rows of three cells between spaces, whatever the first three are.
    "1 2 3\n4 5 6\n", "5 3 1\n4 3 2\n1 1 1\n", "2 1 2\n1 0 1\n", "3 2 1", "3 1 2\n", "0 1 2\n3\n4\n5\n",
    "4 2 1\n1 2 a\n", "1 2 3\n4 5 \"a b\"\n", "1 2 3,4\n1,2\n", "1.0 2 1\n0 0\n0\n", "4 2\n", "4 2 1 3\n",
    "4 2 -1\n",
    "4,2,1\n", "4 2 x\n", "4 2 1.0\n", "99999999999999999999 1 1\n", "",
    // One column.
    "3\n1\n4\n1\n5\n",
    // A row of numbers that are too few for FANN's header.
    "1 2 1 4 5\n2 1 3 7 6\n",
  ])
  func `CSV with spaces is not taken for FANN's`(text: String) throws {
    #expect(try DataFile(bytes: Array(text.utf8)).format == .csv)
    let file = try TemporaryFile(Array(text.utf8))
    #expect(try DataFile.format(ofFile: file.path) == .csv)
  }

  @Test(arguments: ["4 2 1\n0 0\n0\n", "4 2 1\n0 0\nx\n", "2 2 1\n0 0 1\n1 0 1 7\n", "1 4 1\n1 2 3 4\n"])
  func `a damaged file is still taken for FANN's`(text: String) throws {
    #expect(try DataFile(bytes: Array(text.utf8)).format == .fann)
  }

  @Test func `a long text is told by its first bytes, whole or in pieces`() throws {
    let rows = 40_000
    func text(_ header: String, _ row: (Int) -> String) -> [UInt8] {
      Array((header + (0..<rows).map(row).joined()).utf8)
    }
    let cases: [(text: [UInt8], format: DataFile.Format)] = [
      (text("\(rows) 2 1\n") { "\($0) 1\n0\n" }, .fann), (text("\(rows) 2 1\n") { "\($0) 1 0\n" }, .fann),
      (text("\(rows)\n2\n1\n") { "\($0)\n1\n0\n" }, .fann),
      (text("\(rows) 3 3\n") { "\($0) 1 1\n0 0 0\n" }, .fann),
      (text("\(rows) 5 2 ") { "\($0) 1 1 0\n0 0 0\n" }, .fann), (text("5 3 1\n") { "\($0) 1 1\n" }, .csv),
      (text("5 3 1 4\n") { "\($0) 1 1 0\n" }, .csv), (text("5\n3\n1\n") { "\($0)\n" }, .csv),
      (text("\(rows) 4 1\n") { "\($0) 1 x\n" }, .csv),
    ]
    for (text, format) in cases {
      let name = String(decoding: text.prefix(20), as: UTF8.self)
      #expect(try DataFile(bytes: text).format == format, "\(name)")
      let file = try TemporaryFile(text)
      #expect(try DataFile.format(ofFile: file.path) == format, "\(name)")
    }
  }

  @Test func `no beginning of a file is a crash`() {
    let text = Array("3 2 1\n0 1\n0.5\n\n-1.5e1\t.25 \r\n  2 \n5 6\n-0.125\n".utf8)
    for count in text.indices.dropLast(6) {
      #expect(throws: ChainruleError.self) {
        try Dataset<Float>(fann: FANNFile(bytes: Array(text[..<count])))
      }
    }
  }
}
