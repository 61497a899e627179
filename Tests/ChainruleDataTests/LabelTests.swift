import TestSupport
import Testing

@testable import ChainruleData

@Suite struct `Labels` {
  private static let columns: [(cells: [String], classes: [String])] = [
    (["01", "1", "02", "01", "1", "02"], ["01", "1", "02"]),
    (["02134", "2134", "02134", "2134"], ["02134", "2134"]),
    (["1e3", "1000", "1e3", "1000"], ["1000", "1e3"]),
    (
      ["9007199254740992", "9007199254740993", "9007199254740992"], ["9007199254740992", "9007199254740993"]
    ),
    (["caf\u{E9}", "cafe\u{301}", "caf\u{E9}"], ["cafe\u{301}", "caf\u{E9}"]),
    (["\"a\nb\"", "\"a\r\nb\"", "\"a,b\"", "a"], ["a", "a\nb", "a\r\nb", "a,b"]),
    (["\"\"\"q\"\"\"", "q", "q"], ["\"q\"", "q"]),
    (["10", "9", "2", "10", "9", "2"], ["2", "9", "10"]),
    (["10", "9", "A1", "10"], ["10", "9", "A1"]),
  ]

  @Test(arguments: columns.indices) func `are the texts of the cells`(index: Int) throws {
    let (cells, classes) = Self.columns[index]
    let text = "a,code\n" + cells.enumerated().map { "\($0 * $0).5,\($1)\n" }.joined()
    var options = CSVOptions.anyTable(task: .classification)
    let reading = try read(text, options)
    #expect(scalars(reading.data.classLabels) == scalars(classes))
    let texts = try CSVTable(bytes: Array(text.utf8), options: options).texts(inColumn: "code")
    #expect(scalars(reading.classes) == scalars(texts))
    // As categories of a feature too.
    options = CSVOptions.anyTable(target: ["a"], task: .regression)
    options.categorical = ["code"]
    #expect(scalars(try read(text, options).names) == scalars(classes.map { "code=\($0)" }))
  }

  @Test func `with a needless zero, or that no double holds, are classes without being asked for`() throws {
    #expect(
      try read("a,code\n1,02134\n2,10001\n3,94110\n5,02134\n").data.classLabels == [
        "02134", "10001", "94110",
      ])
    let large = "a,y\n1,9007199254740992\n2,9007199254740993\n4,9007199254740993\n7,9007199254740992\n"
    #expect(try read(large).data.classLabels == ["9007199254740992", "9007199254740993"])
  }

  @Test func `of new rows are those of the model by their texts, and then by their numbers`() throws {
    let cases: [(classes: [String], cell: String, place: Int?)] = [
      (["1", "01"], "01", 1), (["1", "01"], "1", 0), (["1", "2"], "1.0", 0), (["1", "2"], "2e0", 1),
      (["1.0", "2.0"], "2", 1), (["1", "A"], "01", nil), (["2134"], "02134", nil), (["02134"], "2134", nil),
      (["1", "1.0"], "1e0", nil), (["9007199254740992"], "9007199254740993", nil), (["1e400"], "inf", nil),
      (["caf\u{E9}"], "cafe\u{301}", nil), (["16"], "0x10", nil), (["-1", "1"], "-1.0", 0),
    ]
    for (classes, cell, place) in cases {
      let encoding = try TargetEncoding(classes: classes)
      let table = try CSVTable(bytes: Array("a,y\n1,\(cell)\n".utf8), options: CSVOptions(header: .yes))
      let features = try FeatureEncoding(fitting: table)
      let labels = try? Dataset<Float>(csv: table, encoding: features, targets: encoding).labels
      #expect(classes.count == 1 && place != nil || labels == place.map { [$0] }, "\(classes), \(cell)")
      let found = try? encoding.targets(of: table, inColumns: [1]) as [Float]
      #expect(
        found == place.map { place in classes.indices.map { $0 == place ? 1 : 0 } }, "\(classes), \(cell)")
    }
  }

  @Test func `with the character NUL are refused`() {
    for text in ["a,y\n1,\"a\0b\"\n2,\"a\0c\"\n", "a,y\n1,a\0b\n2,a\0c\n", "a\0,y\n1,2\n"] {
      #expect(complaint { try Dataset<Float>(csv: text) }.contains("the cell holds the character NUL"))
    }
  }
}

@Suite struct `The task of a table` {
  private static let texts: [(String, CSVOptions, TargetEncoding.Kind, [Double])] = [
    ("a,y\n1,0\n2,1\n3,0\n4,1\n", CSVOptions(task: .regression), .numbers, [0, 1, 0, 1]),
    ("a,y\n1,0\n2,1\n3,0\n4,1\n", CSVOptions(), .classes, [1, 0, 0, 1, 1, 0, 0, 1]),
    ("a,y\n1,5\n2,7\n3,8\n4,9\n", CSVOptions(), .numbers, [5, 7, 8, 9]),
    ("a,class\n1,5\n2,7\n3,5\n", CSVOptions(), .classes, [1, 0, 0, 1, 1, 0]),
    ("a,y\n1,5\n2,7.5\n3,8\n4,8\n", CSVOptions(), .numbers, [5, 7.5, 8, 8]),
    ("a,u,v\n1,0,1\n2,1,1\n3,0,0\n", CSVOptions(target: ["u", "v"]), .labels, [0, 1, 1, 1, 0, 0]),
    ("a,u,v\n1,0,1\n2,1,2\n3,0,0\n", CSVOptions(target: ["u", "v"]), .numbers, [0, 1, 1, 2, 0, 0]),
    (
      "a,u,v\n1,0,1\n2,1,1\n3,0,0\n", CSVOptions(target: ["v", "u"], task: .regression), .numbers,
      [1, 0, 1, 1, 0, 0]
    ),
    ("a,u\n1,0\n2,1.0\n3,0\n", CSVOptions(target: ["u"], task: .multilabel), .labels, [0, 1, 0]),
  ]

  @Test(arguments: texts.indices) func `is the one asked for, or follows from the targets`(index: Int) throws
  {
    let (text, options, kind, targets) = Self.texts[index]
    let reading = try read(text, options)
    #expect(reading.encoding.targets.kind == kind)
    #expect(reading.data.targets == targets)
    #expect((reading.data.classLabels != nil) == (kind == .classes))
  }

  @Test func `does not allow other values`() throws {
    #expect(
      complaint {
        try Dataset<Float>(
          csv: "a,u,v\n1,0,1\n2,2,1\n", options: CSVOptions(target: ["u", "v"], task: .multilabel))
      }
      .contains("line 3, column 2"))
    #expect(
      complaint { try Dataset<Float>(csv: "a,y\n1,0\n2,x\n", options: CSVOptions(task: .regression)) }
        .contains("line 3, column 2: y is \"x\""))
    #expect(
      complaint {
        try Dataset<Float>(
          csv: "a,u,v\n1,0,1\n", options: CSVOptions(target: ["u", "v"], task: .classification))
      }.contains("classes need one target column; got 2"))
  }
}
