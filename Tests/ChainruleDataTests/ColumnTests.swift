import TestSupport
import Testing

@testable import ChainruleData

/// A table with the cells of some columns, and a target that follows none of them.
private func table(_ names: String, rows: Int = 30, _ cells: (Int) -> String) -> String {
  "\(names),y\n" + (0..<rows).map { "\(cells($0)),\(($0 * 37 + 11) % 101).5\n" }.joined()
}

@Suite struct `The columns of any table` {
  @Test func `of text become categories, of which many keep those that occur twice`() throws {
    let few = try read(table("c", rows: 32) { "t\($0 % 16)" })
    #expect(few.names?.count == 16 && few.says("1 column of text became 16 categories: c"))
    // 17 texts, the last of them once.
    let many = try read(table("c", rows: 33) { "t\($0 % 33 / 2)" })
    #expect(many.names?.count == 16 && many.names?.contains("c=t16") == false)
    #expect(many.says("rare categories count as none: c (16 of 17)"))
    #expect(many.rows[32] == [Double](repeating: 0, count: 16))
    // Where an unknown one is an error, those that occur once are known, too.
    var options = CSVOptions.anyTable()
    options.unknownCategory = .error
    #expect(try read(table("c", rows: 33) { "t\($0 % 33 / 2)" }, options).names?.count == 17)
    // 300 texts, three times each; those that occur more often stay.
    let most = try read(table("c", rows: 903) { "t\($0 < 900 ? $0 % 300 : 299)" })
    #expect(most.names?.count == 255 && most.names?.contains("c=t299") == true)
    #expect(most.says("rare categories count as none: c (255 of 300)"))
  }

  @Test func `that say nothing are left out, and named`() throws {
    let constant = try read(table("k,t,a") { "7,same,\($0 * $0)" })
    #expect(constant.names == ["a"] && constant.says("left out, the same in every row: k, t"))
    let empty = try read(table("e,a") { "NA,\($0 * $0)" })
    #expect(empty.names == ["a"] && empty.says("left out, without a value: e"))
    for name in ["", "Unnamed: 0"] {
      let index = try read(table("\(name),a") { "\($0),\($0 * $0)" })
      #expect(index.names == ["a"] && index.says("left out, the number of the row"))
    }
    let unique = try read(table("n,a") { "name \($0),\($0 * $0)" })
    #expect(unique.names == ["a"] && unique.warnings.contains("left out, another text in every row: n"))
    #expect(
      complaint { try read("k,y\n1,2.5\n1,3.5\n1,1.5\n") }.contains("no feature is left; left out, the same"))
  }

  @Test func `that look like a mistake are named in a warning`() throws {
    let leak = try read(
      "a,b,y\n" + (0..<30).map { "\($0 * $0 % 17),\($0 * 3 + 1).25,\($0 * 6).5\n" }.joined())
    #expect(leak.names == ["a", "b"] && leak.warnings.contains { $0.hasPrefix("gives the target away: b") })
    let label = try read(
      "a,b,y\n" + (0..<60).map { "\($0 * $0 % 17),\($0 % 3 + 4),\("uvw".map(\.self)[$0 % 3])\n" }.joined())
    #expect(label.warnings.contains { $0.hasPrefix("gives the target away: b") })
    let id = try read(table("id,a") { "\($0 + 100),\($0 * $0 % 17)" })
    #expect(id.warnings.contains { $0.hasPrefix("another value in every row: id") })
    #expect(try read(table("b,a") { "\($0 * 7 % 31),\($0 * $0 % 17)" }).warnings.isEmpty)
  }

  @Test func `are those that the options choose`() throws {
    let text = "a,b,c,w,y\n1,2,7,1,1.5\n2,2,8,0.5,2.5\n4,2,9,2,0.5\n"
    func names(_ change: (inout CSVOptions) -> Void) throws -> [String]? {
      var options = CSVOptions.anyTable()
      change(&options)
      return try read(text, options).names
    }
    #expect(try names { _ in } == ["a", "c", "w"])
    #expect(try names { $0.kept = ["b"] } == ["a", "b", "c", "w"])
    #expect(try names { $0.ignored = ["a", "w"] } == ["c"])
    #expect(try names { $0.features = ["w", "a"] } == ["w", "a"])
    #expect(try names { $0.id = "c" } == ["a", "w"])
    #expect(try names { $0.target = ["c"] } == ["a", "w", "y"])
    #expect(try names { $0.categorical = ["3"] } == ["a", "c=7", "c=8", "c=9", "w"])
    var options = CSVOptions.anyTable()
    options.weights = "w"
    let weighted = try read(text, options)
    #expect(weighted.names == ["a", "c"] && weighted.data.sampleWeights == [1, 0.5, 2])
    options.ignored = ["y"]
    #expect(complaint { try read(text, options) }.contains("\"y\" is both ignored and the target"))
    options = CSVOptions(weights: "a")
    #expect(
      complaint { try Dataset<Float>(csv: "a,b,y\n1,2,3\n-1,2,3\n", options: options) }
        .hasSuffix("line 3, column 1: a: the weight is -1.0; expected a number of at least 0"))
  }

  @Test func `have categories that are unknown later: none of them, counted, or an error`() throws {
    let known = try read("c,d,y\nu,p,1.5\nv,q,2.5\nu,p,3.5\n")
    let table = try CSVTable(
      bytes: Array("d,c\nq,w\np,u\nr,w2\n,\n".utf8), options: known.encoding.features.readingOptions)
    var report = EncodingReport()
    let features: [Double] = try known.encoding.features.features(of: table, report: &report)
    #expect(features == [0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(report.unknown.map(\.column) == ["c", "d"] && report.unknown.map(\.count) == [2, 1])
    #expect(report.unknown.map(\.first) == ["w", "r"] && report.unknown.map(\.line) == [2, 4])
    var options = CSVOptions.anyTable()
    options.unknownCategory = .error
    let strict = try read("c,y\nu,1.5\nv,2.5\n", options)
    let other = try CSVTable(bytes: Array("c\nu\nw\n".utf8), options: strict.encoding.features.readingOptions)
    #expect(
      complaint { try strict.encoding.features.features(of: other) as [Float] }.contains("line 3, column 1"))
  }

  @Test func `of dates become days, whatever the zone`() throws {
    // Days since 1970 by Python: datetime.fromisoformat(text).timestamp() / 86400, a zone added.
    let dates: [(String, Double?)] = [
      ("1970-01-01", 0), ("1970-01-02T12:00", 1.5), ("1969-12-31", -1), ("2000-03-01", 11017),
      ("2024-02-29T06:00:00Z", 19782.25), ("2024-03-01T00:00:00+12:00", 19782.5),
      ("2024-03-01 00:00-06", 19783.25),
      ("2024-03-01T00:00:00.5+0000", 19783 + 0.5 / 86400), ("0001-01-01", -719162), ("9999-12-31", 2_932_896),
      ("2023-02-29", nil), ("2024-13-01", nil), ("2024-00-10", nil), ("2024-1-1", nil), ("01.02.2024", nil),
      ("2024-03-01T24:00", nil), ("2024-03-01T12", nil), ("2024-03-01T12:00+", nil), ("2024-03-01Z", nil),
      ("2024-03-01T12:00:00.", nil), ("2024-03-01T12:00ZZ", nil), ("２０24-03-01", nil),
    ]
    for (text, days) in dates { #expect(ISODate.days(in: text.utf8) == days, "\(text)") }
    let reading = try read("d,y\n1970-01-02,1.5\n1970-01-03T12:00Z,2.5\n,3.5\n1970-01-11,4.5\n")
    #expect(reading.names == ["d", "d is missing"])
    #expect(reading.rows == [[1, 0], [2.5, 0], [2.5, 1], [10, 0]])
    #expect(reading.says("1 column of dates became days since 1970: d"))
    let new = try CSVTable(
      bytes: Array("d\n2024-02-30\n".utf8), options: reading.encoding.features.readingOptions)
    #expect(
      complaint { try reading.encoding.features.features(of: new) as [Float] }.hasSuffix(
        "line 2, column 1: d is \"2024-02-30\"; expected a date in ISO 8601 format, such as 2024-03-01"))
  }

  @Test func `keep the differences of large numbers`() throws {
    let text = "t,y\n" + (0..<50).map { "\(1_700_000_000 + $0 * 3),\(Double($0) * 0.3)\n" }.joined()
    let data = try Dataset<Float>(csv: text, options: .anyTable())
    let values = data.features
    #expect(zip(values, values.dropFirst()).allSatisfy { $1 - $0 == 3 })
    let file = try TemporaryFile(Array(text.utf8))
    #expect(try Dataset(CSVSource<Float>(file: file.path, options: .anyTable(), chunk: 64)) == data)
    // Without it, Float merges those within 64 of each other.
    #expect(Set(try Dataset<Float>(csv: text).features).count < 5)
    #expect(try read("t,y\n1,2.5\n2,3.5\n4,1.5\n").rows == [[1], [2], [4]])
  }

  @Test func `of dates in another form are refused by name`() throws {
    let forms: [[String]] = [
      ["03/01/2024", "12/31/2024"], ["01.03.2024", "31.12.2023"], ["1/3/24", "5/3/24"],
      ["1-Mar-2024", "12-Dec-2023"], ["12-OCT-2024", "13-OCT-2024"], ["2024/03/01", "2024/3/2"],
      ["2024-3-1", "2024-3-2"],
      ["03/01/2024 12:30", "03/02/2024 1:00 PM"], ["03/01/2024T12:30", "03/02/2024T13:00"],
    ]
    for form in forms {
      let text = table("d,a") { "\(form[$0 % 2]),\($0 * $0 % 17)" }
      let message = complaint { try read(text) }
      #expect(message.contains("the column \"d\" holds dates such as \"\(form.min()!)\""), "\(message)")
      #expect(message.hasSuffix("--ignore d; or that they are categories: --categorical d"))
      var options = CSVOptions.anyTable()
      options.categorical = ["d"]
      #expect(try read(text, options).names?.prefix(2) == ["d=\(form.min()!)", "d=\(form.max()!)"])
      #expect(
        complaint { try read("a,y\n" + (0..<20).map { "\($0 * $0 % 17),\(form[$0 % 2])\n" }.joined()) }
          .hasSuffix("--task classification"))
    }
    for texts in [
      ["1.2.10", "10.2.1"], ["192.168.0.1", "10.0.0.1"], ["555-12-1234", "123-45-6789"], ["1/2", "3/4"],
      ["TTTTTTTT", "T/T/T/T"], ["//////", "T1T2T3"], ["0T / / /", "1-2-3-4-5"],
    ] {
      #expect(
        try read(table("d,a") { "\(texts[$0 % 2]),\($0 * $0 % 17)" }).names?.contains("d=\(texts[0])") == true
      )
    }
  }

  @Test func `have one wrong cell among many refused, whatever they hold`() throws {
    let slips: [(column: (Int) -> String, slip: String, message: String)] = [
      ({ "2024-01-\(10 + $0 % 20)" }, "2024-02-30", "expected a date in ISO 8601 format"),
      ({ "2024-01-\(10 + $0 % 20)" }, "7", "expected a date in ISO 8601 format"),
      ({ "\($0 * $0).5" }, "x", "expected a number; if the column is categorical"),
      ({ "\($0 * $0).5" }, "inf", "expected a finite number"),
      ({ "\($0 % 3)" }, "-Inf", "expected a finite number"),
    ]
    for (column, slip, message) in slips {
      let text = table("d,a") { "\($0 == 17 ? slip : column($0)),\($0 * $0 % 17)" }
      #expect(complaint { try read(text) }.contains("line 19, column 1: d is \"\(slip)\"; \(message)"))
    }
    #expect(
      complaint { try read("a,y\nnan,1.5\ninf,2.5\n3,4.5\n") }.contains(
        "a is \"inf\"; expected a finite number"))
    // Among texts it is one.
    #expect(try read("a,y\nu,1.5\ninf,2.5\nv,4.5\n").names == ["a=inf", "a=u", "a=v"])
  }

  @Test func `of numbers beyond 2⁵³ are numbers, and as targets classes by their text`() throws {
    let text =
      "t,y\n"
      + (0..<50).map { "\(1_700_000_000_000_000_000 + $0 * 1_000_000_000),\($0 * 7 % 50).5\n" }.joined()
    let reading = try read(text)
    #expect(reading.names == ["t"])
    #expect(zip(reading.rows, reading.rows.dropFirst()).allSatisfy { abs($1[0] - $0[0] - 1e9) < 1e3 })
    let codes = try read(
      "a,y\n"
        + (0..<20).map { "\($0 * $0),\($0 % 2 == 0 ? "9007199254740992" : "9007199254740993")\n" }.joined())
    #expect(codes.data.classLabels == ["9007199254740992", "9007199254740993"])
  }

  @Test func `are named in errors as an option takes them`() throws {
    for (name, argument) in [
      ("plain", "plain"), ("two words", "'two words'"), ("a;b", "'a;b'"), ("\"a,b\"", "'\"a,b\"'"),
      ("it's", "1"), ("-x", "1"),
      ("\"a\u{1B}[1m\"", "1"), ("größe", "größe"),
    ] {
      let message = complaint {
        try read("\(name),b,y\n" + (0..<9).map { "03/0\($0 + 1)/2024,\($0 * $0),\($0).5\n" }.joined())
      }
      #expect(message.hasSuffix("--categorical \(argument)"), "\(message)")
    }
  }
}
