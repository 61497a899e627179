import Foundation
import TestSupport
import Testing

@testable import ChainruleData

@Suite("CSV")
struct CSVTests {
  private func read(_ text: String, _ options: CSVOptions = CSVOptions()) throws -> Dataset<Double> {
    try Dataset(csv: text, options: options)
  }

  /// What the error says that reading `text` must throw.
  private func complaint(_ text: String, _ options: CSVOptions = CSVOptions()) -> String {
    do {
      return "no error, but \(try read(text, options))"
    } catch {
      return "\(error)"
    }
  }

  // MARK: Columns

  @Test func `the last column is the target and the first row the header`() throws {
    let data = try read("a,b,y\n1,2,0.5\n3,4,0.25\n")
    #expect(data.features == [1, 2, 3, 4])
    #expect(data.targets == [0.5, 0.25])
    #expect(data.featureNames == ["a", "b"])
    #expect(data.targetNames == ["y"])
    #expect(data.classLabels == nil)
  }

  @Test func `a row of numbers before a text target is no header`() throws {
    let data = try read("5.1,3.5,setosa\n6.2,2.9,virginica\n")
    #expect(data.rows == 2)
    #expect(data.featureNames == nil)
    #expect(data.classLabels == ["setosa", "virginica"])
  }

  @Test func `the option decides on the header where it is not automatic`() throws {
    #expect(try read("1,2\n3,4\n", CSVOptions(header: .yes)).featureNames == ["1"])
    #expect(
      complaint("a,b\n3,4\n", CSVOptions(header: .no))
        == "line 1, column 1: the cell is \"a\"; expected a number; if the column is categorical: --categorical 1"
    )
  }

  @Test func `an empty name leaves a header a header`() throws {
    #expect(try read(",a,y\n0,1,0.5\n1,2,1.5\n").featureNames == ["column 1", "a"])
  }

  @Test func `targets and features are chosen by name or number`() throws {
    let text = "a,b,c\n1,2,3.5\n4,5,6.5\n"
    let first = try read(text, CSVOptions(target: ["a"], task: .regression))
    #expect(first.targets == [1, 4])
    #expect(first.features == [2, 3.5, 5, 6.5])
    let two = try read(text, CSVOptions(target: ["c", "a"]))
    #expect(two.targets == [3.5, 1, 6.5, 4])
    #expect(two.targetNames == ["c", "a"])
    #expect(try read(text, CSVOptions(features: ["b", "1"])).features == [2, 1, 5, 4])
    let unnamed = try read("1,2\n3,4\n", CSVOptions(target: ["1"], task: .regression))
    #expect(unnamed.targets == [1, 3])
  }

  @Test func `a column that is not there is refused with those that are`() {
    #expect(
      complaint("a,b\n1,2\n", CSVOptions(target: ["price"]))
        == "there is no column \"price\"; the columns are a, b")
    #expect(
      complaint("1,2\n3,4\n", CSVOptions(target: ["3"], header: .no))
        == "there is no column \"3\"; without a header, columns are numbered 1 to 2")
    #expect(complaint("a,b\n1,2\n", CSVOptions(target: ["a", "1"])) == "the column \"a\" is a target twice")
    #expect(
      complaint("a,y\n1,2\n", CSVOptions(features: ["y"])) == "\"y\" is both a feature and the target")
    #expect(complaint("a:y\n1:2\n").contains("is the delimiter correct?"))
  }

  @Test func `a model finds its features by name whatever else the table holds`() throws {
    let table = try CSVTable(bytes: Array("id,b,note,a\n7,2,x,1\n8,4,y,3\n".utf8))
    #expect(try table.features(named: ["a", "b"], count: 2) as [Float] == [1, 2, 3, 4])
    #expect(throws: ChainruleError.self) { try table.features(named: ["a", "c"], count: 2) as [Float] }
    #expect(throws: ChainruleError.shapeMismatch(what: "columns of features", expected: 2, actual: 4)) {
      try table.features(named: nil, count: 2) as [Float]
    }
    let unnamed = try CSVTable(bytes: Array("1,2\n3,4\n".utf8))
    #expect(unnamed.columnNames == nil)
    #expect(try unnamed.features(named: ["a", "b"], count: 2) as [Float] == [1, 2, 3, 4])
    #expect(throws: ChainruleError.self) { try unnamed.numbers(inColumns: [0, 0]) as [Float] }
    #expect(throws: ChainruleError.self) { try unnamed.numbers(inColumns: [2]) as [Float] }
  }

  // MARK: Classes or quantities

  @Test func `a target of few whole numbers that repeat is classes`() throws {
    #expect(try read("x,digit\n1,3\n2,7\n3,3\n4,7\n").classLabels == ["3", "7"])
    #expect(try read("x,digit\n1,3\n2,7\n3,3\n4,7.0\n").classLabels == ["3", "7", "7.0"])
    #expect(try read("x,rooms\n1,3\n2,7\n3,4\n4,7\n").classLabels == nil)
    #expect(try read("x,y\n1,3\n2,3\n3,3\n4,3\n").classLabels == nil)
    #expect(try read("x,y\n1,0\n2,1\n3,0\n4,1.5\n").classLabels == nil)
  }

  @Test func `a target named class or label is classes however many`() throws {
    #expect(try read("x,Label\n1,3\n2,10\n3,4\n").classLabels == ["3", "4", "10"])
    #expect(try read("x,class\n1,3\n2,10.5\n3,4\n").classLabels == nil)
  }

  @Test func `the option decides between classes and quantities`() throws {
    let text = "x,y\n1,0\n2,1\n3,0\n4,1\n"
    #expect(try read(text).classLabels == ["0", "1"])
    #expect(try read(text, CSVOptions(task: .regression)).classLabels == nil)
    #expect(
      try read("x,y\n1,0.5\n2,1.5\n", CSVOptions(task: .classification)).classLabels == ["0.5", "1.5"])
    #expect(complaint("x,y\n1,a\n", CSVOptions(task: .regression)).contains("y is \"a\"; expected a number"))
    #expect(
      complaint("x,y,z\n1,2,3\n", CSVOptions(target: ["y", "z"], task: .classification))
        == "classes need one target column; got 2")
  }

  @Test func `one slip in a column of numbers does not make it classes`() {
    #expect(
      complaint("x,y\n1,1.5\n2,2.5\n3,2..5\n")
        == "line 4, column 2: y is \"2..5\"; expected a number; if the targets are classes: --task classification"
    )
  }

  // MARK: Text

  @Test func `quotes hold delimiters, line ends and quotes`() throws {
    let data = try read("\"a,b\",\"say \"\"hi\"\"\",kind\r\n\"1\",2,\"x\ny\"\r\n3,\"4\",\"\"\"\"\n")
    #expect(data.featureNames == ["a,b", "say \"hi\""])
    #expect(data.features == [1, 2, 3, 4])
    #expect(data.classLabels == ["\"", "x\ny"])
  }

  @Test(arguments: 0..<4)
  func `a quoted cell is found wherever it stands`(quoted: Int) throws {
    // Lines are looked at eight bytes at a time: the width of the first cell moves the quote through all of
    // them.
    for width in 1...16 {
      let first = String(repeating: "7", count: width)
      let plain = (0..<9).map { _ in [first, "2", "3.5", "kind"] }
      var rows = plain
      rows[4][quoted] = quoted < 3 ? "\"\(rows[4][quoted])\"" : "\"ki\r\nnd\""
      let data = try read("a,b,c,y\n" + rows.map { $0.joined(separator: ",") + "\n" }.joined())
      #expect(data.rows == 9)
      #expect(data.features == plain.flatMap { $0[..<3].map { Double($0)! } })
      #expect(data.classLabels == (quoted < 3 ? ["kind"] : ["ki\r\nnd", "kind"]))
      #expect(data.labels == (0..<9).map { quoted == 3 && $0 != 4 ? 1 : 0 })
    }
  }

  @Test(arguments: ["\n", "\r\n", "\r"])
  func `all line ends read the same`(end: String) throws {
    let lines = ["a,y", "1,2.5", "", "3,4.5"]
    let expected = try read("a,y\n1,2.5\n3,4.5\n")
    #expect(try read(lines.joined(separator: end)) == expected)
    #expect(try read(lines.joined(separator: end) + end) == expected)
    #expect(complaint((lines + ["5,x"]).joined(separator: end)).hasPrefix("line 5, column 2: "))
  }

  @Test func `a byte order mark, blank lines and spaces around cells are skipped`() throws {
    #expect(try read("\u{FEFF}\n  \na , y\n\n 1,\t2.5 \n\n\n") == read("a,y\n1,2.5\n"))
  }

  @Test func `another delimiter can be chosen`() throws {
    #expect(try read("a;y\n1;2.5\n", CSVOptions(delimiter: ";")) == read("a,y\n1,2.5\n"))
    #expect(try read("a\ty\n1\t2.5\n", CSVOptions(delimiter: "\t")) == read("a,y\n1,2.5\n"))
    for delimiter in ["\"", "\n", ".", "7", "e", "é"] as [Character] {
      #expect(throws: ChainruleError.self) { try read("1,2\n", CSVOptions(delimiter: delimiter)) }
    }
  }

  // MARK: Complaints

  private static let categorical = "expected a number; if the column is categorical: --categorical b"

  @Test func `a ragged row is refused with its line`() {
    #expect(complaint("a,b,y\n1,2,3\n4,5\n") == "line 3: there are 2 cells; expected 3, as in the first row")
    #expect(complaint("a,b,y\n1,2,3,4\n") == "line 2: there are 4 cells; expected 3, as in the first row")
    #expect(complaint("a,y\n\n\"1\n\",2\n3\n") == "line 5: there is 1 cell; expected 2, as in the first row")
  }

  @Test(arguments: [
    ("abc", categorical), ("1,5", "expected a number; for a decimal comma: --decimal ,"),
    ("0x10", categorical),
    ("1e", categorical), (".", "expected a number; to fill such gaps: --missing median"),
    ("1 2", categorical),
    ("--1", categorical), ("-nan", "expected a finite number"), ("-inf", "expected a finite number"),
    ("Infinity", "expected a finite number"), ("1e999", "too large for float64"),
  ])
  func `what is not a number is refused with its place`(cell: String, reason: String) {
    #expect(
      complaint("a,b,y\n1,2,3.5\n4,\"\(cell)\",6.5\n") == "line 3, column 2: b is \"\(cell)\"; \(reason)")
  }

  @Test func `an empty cell is refused where nothing takes its place`() {
    #expect(
      complaint("a,b,y\n1,,3.5\n2,2,4.5\n")
        == "line 2, column 2: b is empty; expected a number; to fill such gaps: --missing median")
  }

  @Test func `a delimiter after the last cell is none`() throws {
    let expected = try read("a,b,y\n1,2,3.5\n4,5,6.5\n")
    for text in [
      "a,b,y,\n1,2,3.5,\n4,5,6.5,\n", "a,b,y\n1,2,3.5,\n4,5,6.5,\n", "a,b,y,\n1,2,3.5\n4,5,6.5\n",
      "a,b,y\n1,2,3.5,\n4,5,6.5\n", "a;b;y;\r\n1;2;3.5;\r\n4;5;6.5;\r\n",
    ] {
      #expect(try read(text) == expected, "\(text)")
    }
    #expect(try read("1,2.5,\n3,4.5,\n", CSVOptions(header: .no)).features == [1, 3])
    #expect(complaint("a,y\n1,2.5,7\n").hasPrefix("line 2: there are 3 cells"))
  }

  @Test func `a number too large for float32 is refused`() {
    #expect {
      try Dataset<Float>(csv: "a,y\n1e39,0.5\n")
    } throws: { error in
      "\(error)" == "line 2, column 1: a is \"1e39\"; too large for float32"
    }
  }

  @Test func `quotes that do not close are refused where they open`() {
    #expect(
      complaint("a,y\n1,\"2\n3,4\n") == "line 2, column 2: the quote that opens here does not close")
    #expect(complaint("a,y\n1,\"").hasSuffix("does not close"))
    #expect(complaint("a,y\n1,\"2\"\"").hasSuffix("does not close"))
    #expect(complaint("a,y\n1,\"2\"3\n") == "line 2, column 2: there is text after the closing quote")
  }

  @Test func `a text without rows is refused`() {
    #expect(complaint("") == "the text is empty")
    #expect(complaint("\u{FEFF}\r\n \n") == "the text is empty")
    #expect(complaint("a,y\n") == "there are no rows below the header")
  }

  @Test func `text that is not UTF-8 is refused`() {
    let latin1 = Array("a,b".utf8) + [0xE9] + Array("\n1,2\n".utf8)
    #expect {
      try CSVTable(bytes: latin1, file: "data.csv")
    } throws: { error in
      "\(error)" == "data.csv, line 1, column 2: the text of this cell is not UTF-8; save the file in UTF-8"
    }
  }

  @Test func `files that cannot be read are refused by name`() throws {
    func complaint(_ path: String) -> String {
      do {
        return "no error, but \(try CSVTable(file: path))"
      } catch {
        return "\(error)"
      }
    }
    let folder = FileManager.default.temporaryDirectory.path
    #expect(complaint(folder) == "\(folder): this is a directory; expected a file of data")
    #expect(complaint("/no/such.csv") == "/no/such.csv: No such file or directory")

    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).csv")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data([0x1F, 0x8B, 0x08]).write(to: file)
    #expect(complaint(file.path) == "\(file.path): the compressed data are cut short")
    try Data("a,y\n1,z".utf8).write(to: file)
    #expect(try Dataset<Float>(csvFile: file.path).classLabels == ["z"])
    try Data("a,y\nz,1\n".utf8).write(to: file)
    #expect {
      try Dataset<Float>(csvFile: file.path)
    } throws: { error in
      "\(error)".hasPrefix("\(file.path), line 2, column 1: a is \"z\"; expected a number")
    }
  }

  @Test func `no beginning of a text is a crash`() {
    let text = Array("\u{FEFF}a,\"b\"\"\",y\r\n1,\" 2\",x\r\n\n-3.5e+1,4,\"x\ny\"\r\n".utf8)
    for count in 0..<text.count {
      if let table = try? CSVTable(bytes: Array(text[..<count])) {
        #expect(table.rows > 0)
        _ = try? Dataset<Float>(csv: table)
      }
    }
  }

  // MARK: Bad rows

  private func skipping(_ text: String, task: CSVOptions.LearningTask = .automatic) throws -> (
    rows: [Double], skipped: SkippedRows
  ) {
    let options = CSVOptions(task: task, skipsBadRows: true)
    let table = try CSVTable(bytes: Array(text.utf8), options: options).withoutBadRows(for: Double.self)
    let data = try Dataset<Double>(csv: table)
    #expect(try Dataset<Double>(csv: text, options: options) == data)
    return (data.features, table.skippedRows)
  }

  @Test func `bad rows are left out and counted where it is so asked, and the first is told`() throws {
    let good = "a,y\n1,1.5\n2,2.5\n"
    for (bad, reason) in [
      ("x,3.5\n", "line 4, column 1: a is \"x\"; expected a number"),
      ("3,z\n", "line 4, column 2: y is \"z\"; expected a number"),
      ("3\n", "line 4: there is 1 cell; expected 2"), ("3,3.5,3\n", "line 4: there are 3 cells; expected 2"),
      ("\"3\"x,3.5\n", "line 4, column 1: there is text after the closing quote"),
      ("3,1e999\n", "line 4, column 2: y is \"1e999\"; too large for float64"),
      ("-inf,3.5\n", "line 4, column 1: a is \"-inf\"; expected a finite number"),
      ("3,\"3\n", "line 4, column 2: the quote that opens here does not close"),
    ] {
      let (rows, skipped) = try skipping(good + bad + "4,4.5\n")
      #expect(rows == [1, 2, 4], "\(bad)")
      #expect(skipped.count == 1)
      #expect(skipped.first.map { "\($0)" }?.hasPrefix(reason) == true)
      #expect(complaint(good + bad + "4,4.5\n").hasPrefix(reason))
    }
    #expect(try skipping(good).skipped == SkippedRows())
    let many = (0..<5000).map { $0 % 3 == 0 ? "oops,\($0)\n" : "\($0),0.5\n" }.joined()
    let (rows, skipped) = try skipping("a,y\n" + many, task: .regression)
    #expect(rows == (0..<5000).filter { $0 % 3 != 0 }.map(Double.init))
    #expect(skipped.count == 1667)
    #expect(skipped.first.map { "\($0)" }?.hasPrefix("line 2, column 1: ") == true)
  }

  @Test func `a bad row decides nothing`() throws {
    // An empty target does not make the others classes, and the first row that is left may not be the first.
    #expect(try skipping("a,y\n1,\n2,2.5\n3,oops\n4,4.5\n").rows == [2, 4])
    #expect(try skipping("a,y\nx,word\n2,2.5\n3,3.5\n").rows == [2, 3])
    #expect(
      complaint("a,y\nx,1\n", CSVOptions(skipsBadRows: true))
        .hasPrefix("line 2, column 1: a is \"x\"; expected a number"))
    let options = CSVOptions(categorical: ["a"], missing: .mean, skipsBadRows: true)
    let data = try read("a,b,y\nred,1,1.5\n,x,2.5\n,,3.5\nblue,3,4.5\n", options)
    #expect(data.features == [0, 1, 1, 1, 0, 2, 1, 0, 3])
  }

  @Test func `many quotes that do not close take no more time than one`() throws {
    let text = "a,y\n" + String(repeating: "\"1,2.5\n", count: 4001)
    let time = ContinuousClock().measure {
      #expect(throws: ChainruleError.self) {
        try Dataset<Double>(
          csv: text, options: CSVOptions(header: .yes, task: .regression, skipsBadRows: true))
      }
    }
    #expect(time < .seconds(60))
  }

  // MARK: Numbers

  @Test func `cells are read as the standard library reads them, wherever eight bytes begin and end`() throws
  {
    var generator = SplitMix64(seed: 4)
    func cell() -> String {
      let digits = { (count: UInt64) in (0..<count).map { _ in "\(generator.next(below: 10))" }.joined() }
      switch generator.next(below: 9) {
      case 0: return "\(generator.next(below: 100))"
      case 1: return "-0.\(digits(1 + generator.next(below: 9)))"
      case 2: return "\(digits(1 + generator.next(below: 19))).\(digits(generator.next(below: 12)))"
      case 3: return "+.\(digits(1 + generator.next(below: 18)))e\(Int(generator.next(below: 60)) - 30)"
      case 4: return "1.\(digits(18))e+0\(generator.next(below: 10))"
      case 5: return " \(generator.next(below: 1000)) "
      case 6: return "\"\(generator.next(below: 1000))\""
      case 7: return "\(generator.next(below: 1000)) "
      default: return "-\(generator.next(below: 10)).\(digits(5))"
      }
    }
    for (end, delimiter) in [("\n", ","), ("\r\n", ";"), ("\r", "\t")] as [(String, Character)] {
      let rows = (0..<400).map { _ in (0..<7).map { _ in cell() } }
      let text = rows.map { $0.joined(separator: "\(delimiter)") }.joined(separator: end)
      let options = CSVOptions(target: ["6", "2"], header: .no, delimiter: delimiter)
      let data = try read(text, options)
      let values = rows.map {
        $0.map { Double($0.trimmingCharacters(in: CharacterSet(charactersIn: " \"")))! }
      }
      #expect(data.targets == values.flatMap { [$0[5], $0[1]] })
      #expect(data.features == values.flatMap { [$0[0], $0[2], $0[3], $0[4], $0[6]] })
      let single = try Dataset<Float>(csv: text, options: options)
      let texts = rows.map { $0.map { Float($0.trimmingCharacters(in: CharacterSet(charactersIn: " \"")))! } }
      #expect(single.features == texts.flatMap { [$0[0], $0[2], $0[3], $0[4], $0[6]] })
      // A line of any length at the end of the bytes.
      for count in 1...40 {
        let last = try read(
          "1,2\n" + String(repeating: "7", count: min(count, 15)) + ",\(count)",
          CSVOptions(header: .no, task: .regression))
        #expect(last.targets == [2, Double(count)])
      }
    }
  }

  private func number<Scalar: NetworkScalar>(_ text: String) -> Scalar? {
    let bytes = Array(text.utf8)
    return decimalNumber(in: bytes, bytes.indices)
  }

  @Test func `numbers are rounded as the standard library rounds them`() {
    var generator = SplitMix64(seed: 9)
    for _ in 0..<20_000 {
      // 1 to 21 digits with a point among them, and an exponent in half of them.
      var text = generator.next(below: 2) == 0 ? "-" : ""
      for _ in 0...generator.next(below: 21) { text += "\(generator.next(below: 10))" }
      text.insert(
        ".", at: text.index(text.endIndex, offsetBy: -Int(generator.next(below: UInt64(text.count)))))
      if !text.contains(where: \.isNumber) || text.hasPrefix(".-") { continue }
      if generator.next(below: 2) == 0 { text += "e\(Int(generator.next(below: 100)) - 50)" }
      #expect(number(text) == Double(text), "\(text)")
      #expect(number(text) == Float(text), "\(text)")
    }
  }

  @Test func `numbers on and beside a tie between two floats are rounded right`() {
    // 1 + 2⁻²⁴ lies midway between 1 and 1 + 2⁻²³; 2²⁴ + 1 between two even integers.
    for text in [
      "1.0000000596046447754", "1.0000000596046447753", "9007199254740993.0", "9007199254740992.5",
      "1234567890123456789e27", "1234567890123456789e-27", "9999999999999999999e27",
      "9999999999999999999e-27",
      "1e27", "1e-27", "3402823567797336616e20", "3402823567797336615e20", "1.000000059604644775390625",
      "1.00000005960464477", "1.00000005960464478", "1.0000000596046448",
      "16777217", "16777217.0000000001", "16777216.9999999999", "16777219", "0.1", "1e22", "1e23",
      "9007199254740993", "9007199254740993e3", "3.4028235677973366e38", "3.4028235e38", "1e-45", "7e-46",
      "5e-324",
    ] {
      #expect(number(text) == Double(text), "\(text)")
      #expect(number(text) == Float(text), "\(text)")
    }
  }

  @Test func `all ways to write a number are read`() {
    for (text, value) in [
      ("5", 5), ("+5", 5), ("-5", -5), ("5.", 5), (".5", 0.5), ("-.5e1", -5), ("5E-1", 0.5), ("005", 5),
      ("0e999999999999999999999", 0), ("0.00000000000000000000000000001", 1e-29),
      ("1e-99999999999999999999", 0), ("1e99999999999999999999", .infinity),
    ] as [(String, Double)] {
      #expect(number(text) == value, "\(text)")
    }
    #expect((number("-0") as Double?)?.sign == .minus)
    for text in ["", "+", ".", "e5", "1e", "1e+", "1.2.3", "0x1", "1f", "1_000", "١", "nan", "inf", " 1"] {
      #expect(number(text) as Double? == nil, "\(text)")
    }
  }

  @Test func `numbers do not depend on the locale`() throws {
    let old = String(cString: setlocale(LC_NUMERIC, nil))
    defer { setlocale(LC_NUMERIC, old) }
    // A locale with a decimal comma, where the system has one; the test holds in any.
    for name in ["de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8"] {
      if setlocale(LC_NUMERIC, name) != nil { break }
    }
    // The second number has too many digits for the short way.
    let data = try read("a,y\n1.5,0.12345678901234567891\n")
    #expect(data.features == [1.5])
    #expect(data.targets == [0.12345678901234567891])
  }
}
