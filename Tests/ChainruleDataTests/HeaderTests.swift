import Testing

@testable import ChainruleData

@Suite struct `The header of a table` {
  /// A text, its names, its number of rows, and whether something is said of a guess.
  private static let texts:
    [(text: String, options: CSVOptions, names: [String]?, rows: Int, isGuess: Bool)] = [
      // Names above numbers are certain.
      ("a,y\n1,2.5\n2,3.5\n3,1.5\n", CSVOptions(), ["a", "y"], 3, false),
      ("\"a\",\"y\"\n1,2.5\n2,3.5\n", CSVOptions(), ["a", "y"], 2, false),
      // No header is certain.
      ("1,2.5\n2,3.5\n1,1.5\n", CSVOptions(), nil, 3, false),
      ("0.5,1.25\n0.75,3.5\n", CSVOptions(), nil, 2, false),
      // Numbers as names.
      ("0,1,y\n5.1,3.5,1.2\n4.9,3.0,1.4\n6.2,2.9,4.3\n", CSVOptions(), ["0", "1", "y"], 3, true),
      ("0,1,2\n5.1,3.5,1.2\n4.9,3.0,1.4\n6.2,2.9,4.3\n", CSVOptions(), ["0", "1", "2"], 3, true),
      (
        "2018,2019,2020\n10.5,11.5,12.25\n9.5,8.5,7.5\n1.5,2.5,3.5\n", CSVOptions(),
        ["2018", "2019", "2020"], 3, true
      ),
      // The index of pandas.
      (",0,1\n0,5.1,3.5\n1,4.9,3.2\n2,6.2,2.9\n", CSVOptions(), ["column 1", "0", "1"], 3, true),
      (",a,y\n0,5.1,3.5\n1,4.9,3.2\n2,6.2,2.9\n", CSVOptions(), ["column 1", "a", "y"], 3, false),
      // A gap in the first row does not make it the header.
      ("0.956,NA,0.057,1.5\n0.25,1.5,0.5,2.5\n0.75,2.5,0.125,1.25\n", .anyTable(), nil, 3, false),
      ("1.5,?,a\n2.5,3.5,b\n4.5,2.5,a\n3.5,1.5,b\n", .anyTable(), nil, 4, false),
      // Names that the options give.
      (
        "color,kind\nred,a\nblue,b\n", CSVOptions(target: ["kind"], categorical: ["color"]),
        ["color", "kind"], 2, false
      ),
      ("1,2\n3,4\n5,6\n", CSVOptions(target: ["2"], header: .yes), ["1", "2"], 2, false),
      ("a,b\n1,2\n", CSVOptions(header: .no, task: .classification, categorical: ["1"]), nil, 2, false),
      // Nothing but text: a value that occurs again is none of the names.
      ("red,a\nblue,b\nred,a\nblue,a\n", CSVOptions(categorical: ["1"]), nil, 4, false),
      (
        "color,kind\nred,a\nblue,b\nred,a\nblue,b\nred,a\nblue,a\n", CSVOptions(categorical: ["1"]),
        ["color", "kind"], 6, false
      ),
      ("\"1\",\"2\"\n5,6\n7,8\n9,1\n", CSVOptions(), ["1", "2"], 3, true),
    ]

  @Test(arguments: texts.indices) func `is found by the cells below`(index: Int) throws {
    let (text, options, names, rows, isGuess) = Self.texts[index]
    let table = try CSVTable(bytes: Array(text.utf8), options: options)
    #expect(table.columnNames == names, "\(text)")
    #expect(table.rows == rows, "\(text)")
    if isGuess { #expect(table.notes.contains { $0.contains("the first row (") }, "\(text)") }
    if options.header != .automatic { #expect(table.notes.isEmpty) }
    _ = try read(text, options)
  }

  @Test func `is the same whatever the parts that a file is read in`() throws {
    // 0 and 1 stand above values, which only the rows after the first part show.
    let text =
      "0,1,y\n" + String(repeating: "1,2,3\n", count: 40) + String(repeating: "1.5,2.5,3.5\n", count: 400)
    _ = try read(text, CSVOptions(task: .regression))
    _ = try read("x,y\n" + String(repeating: "a,b\nc,d\n", count: 100), CSVOptions.anyTable())
  }

  @Test func `of a model's names is its own, also where they were made unique`() throws {
    let known = try CSVTable(
      bytes: Array("a,a,,y\n1,2,3,4\n5,6,7,9.5\n".utf8), options: CSVOptions(header: .yes))
    #expect(known.columnNames == ["a", "a.1", "column 3", "y"])
    let encoding = try TableEncoding.fitting(known).encoding
    for text in ["a,a,\nu,v,w\nx,y,z\n", "a,a,,y\n1,2,3,4\n"] {
      let table = try CSVTable(bytes: Array(text.utf8), options: encoding.features.readingOptions)
      #expect(table.columnNames?.prefix(2) == ["a", "a.1"])
      #expect(table.notes.count == 1)  // of the names that repeat
    }
    let numbered = try CSVTable(bytes: Array("0,1\n2,3\n".utf8), options: CSVOptions(named: ["1", "0"]))
    #expect(numbered.columnNames == ["0", "1"])
  }

  @Test func `gives each column a name of its own`() {
    let headers: [([String], [String])] = [
      (["a", "b"], ["a", "b"]), (["a", "a", "a"], ["a", "a.1", "a.2"]),
      (["a", "a.1", "a"], ["a", "a.1", "a.2"]),
      (["", "x", ""], ["column 1", "x", "column 3"]), (["column 2", ""], ["column 2", "column 2.1"]),
      // é in both forms: two names.
      (["\u{E9}", "e\u{301}"], ["\u{E9}", "e\u{301}"]),
    ]
    for (header, names) in headers { #expect(scalars(uniqueNames(header).names) == scalars(names)) }
  }
}
