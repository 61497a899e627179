import Foundation
import TestSupport
import Testing

@testable import ChainruleData

@Suite struct `The form of a table` {
  /// Each is the same table: features 1, 2; 3, 4; 5, 6 and targets 1.5, 2.5, 0.5.
  private static let texts: [(name: String, text: String, options: CSVOptions)] = [
    ("spaces", "a b y\n1 2 1.5\n3 4 2.5\n5 6 0.5\n", CSVOptions()),
    ("runs of spaces", "  a   b  y\n  1   2 1.5  \n 3\t 4  2.5 \n5 6 0.5", CSVOptions()),
    (
      "spaces and quotes", "\"a\" b  \"y\" \n 1  \"2\" 1.5\n3 4 2.5\n5 \"6\"  0.5 \n",
      CSVOptions(delimiter: " ")
    ),
    ("tabs", "a\tb\ty\r\n1\t2\t1.5\r\n3\t4\t2.5\r\n5\t6\t0.5\r\n", CSVOptions()),
    ("semicolons", "a;b;y\n1;2;1.5\n3;4;2.5\n5;6;0.5\n", CSVOptions()),
    ("bars", "a|b|y\r1|2|1.5\r3|4|2.5\r5|6|0.5\r", CSVOptions()),
    ("commas in quotes", "\"a\",\"b\",y\n\"1\",2,1.5\n3,\"4\",2.5\n5,6,0.5\n", CSVOptions()),
    ("a delimiter after every row", "a,b,y,\n1,2,1.5,\n3,4,2.5,\n5,6,0.5,\n", CSVOptions()),
    ("a delimiter after rows, not the header", "a,b,y\n1,2,1.5,\n3,4,2.5,\n5,6,0.5,\n", CSVOptions()),
    ("a semicolon after rows, not the header", "a;b;y\n1;2;1.5;\n3;4;2.5;\n5;6;0.5;\n", CSVOptions()),
    ("a semicolon after the header, not the rows", "a;b;y;\n1;2;1.5\n3;4;2.5\n5;6;0.5\n", CSVOptions()),
    ("a semicolon after some rows", "a;b;y\n1;2;1.5\n3;4;2.5;\n5;6;0.5\n", CSVOptions()),
    ("a decimal comma", "a;b;y\n1;2,0;1,5\n3;4;2,5\n5,0;6;0,5\n", CSVOptions(decimal: ",")),
    ("a decimal comma and spaces", "a b y\n1 2,0 1,5\n3 4,0 2,5\n5 6,0 0,5\n", CSVOptions(decimal: ",")),
    ("a decimal comma in quotes", "a,b,y\n1,2,\"1,5\"\n3,4,\"2,5\"\n5,6,\"0,5\"\n", CSVOptions(decimal: ",")),
    ("blank lines", "\n\na,b,y\n\n1,2,1.5\n3,4,2.5\n\n\n5,6,0.5\n\n", CSVOptions()),
    ("a byte order mark", "\u{FEFF}a,b,y\n1,2,1.5\n3,4,2.5\n5,6,0.5\n", CSVOptions()),
  ]

  @Test(arguments: texts.indices) func `is found out`(index: Int) throws {
    var (name, text, options) = Self.texts[index]
    for infers in [false, true] {
      options.infersColumns = infers
      let reading = try read(text, options)
      #expect(reading.names == ["a", "b"], "\(name)")
      #expect(reading.rows == [[1, 2], [3, 4], [5, 6]], "\(name)")
      #expect(reading.data.targets == [1.5, 2.5, 0.5], "\(name)")
    }
  }

  @Test func `may have separators between thousands`() throws {
    let texts = [
      ("a;y\n1,234;1.5\n1,234,567.5;2.5\n12;0.5\n", CSVOptions(thousands: ",")),
      ("a;y\n1.234;1,5\n1.234.567,5;2,5\n12;0,5\n", CSVOptions(decimal: ",", thousands: ".")),
      ("a,y\n\"1,234\",1.5\n\"1,234,567.5\",2.5\n12,0.5\n", CSVOptions(thousands: ",")),
      ("a;y\n1 234;1.5\n1 234 567.5;2.5\n12;0.5\n", CSVOptions(thousands: " ")),
    ]
    for (text, options) in texts {
      #expect(try read(text, options).rows == [[1234], [1_234_567.5], [12]], "\(text)")
    }
    for cell in ["1,23", ",123", "1,2345", "1,234.567,8", "1234,567", "1,,234"] {
      #expect(
        complaint {
          try Dataset<Float>(csv: "a;y\n\(cell);1.5\n", options: CSVOptions(header: .yes, thousands: ","))
        }
        .contains("line 2, column 1"), "\(cell)")
    }
    for cell in ["1.5", "1,5,5"] {
      #expect(
        complaint {
          try Dataset<Float>(csv: "a;y\n\(cell);1,5\n", options: CSVOptions(header: .yes, decimal: ","))
        }
        .contains("line 2, column 1"), "\(cell)")
    }
  }

  /// The text in UTF-16 with a byte order mark.
  private func utf16(_ text: String, bigEndian: Bool) -> [UInt8] {
    ("\u{FEFF}" + text).utf16.flatMap {
      bigEndian ? [UInt8($0 >> 8), UInt8($0 & 255)] : [UInt8($0 & 255), UInt8($0 >> 8)]
    }
  }

  @Test(arguments: [false, true]) func `may be UTF-16`(bigEndian: Bool) throws {
    let text = "naïve,文字,y\n1,😀,a\n2,é,b\n3,😀,a\n4,é,b\n"
    let reading = try read(utf16(text, bigEndian: bigEndian), .anyTable())
    #expect(reading.names == ["naïve", "文字=é", "文字=😀"])
    #expect(reading.rows == [[1, 0, 1], [2, 1, 0], [3, 0, 1], [4, 1, 0]])
    // Wherever the bytes are cut, also within a pair of surrogates.
    let bytes = utf16(text, bigEndian: bigEndian)
    for size in 1...9 {
      var decoder = try #require(UTF16Decoder(beginning: bytes))
      var decoded: [UInt8] = []
      for start in stride(from: 0, to: bytes.count, by: size) {
        let end = min(start + size, bytes.count)
        decoded += decoder.decode(Array(bytes[start..<end]), isLast: end == bytes.count)
      }
      #expect(decoded == Array(("\u{FEFF}" + text).utf8), "\(size)")
    }
    // Half a pair and half a unit at the end become replacement characters.
    for half: [UInt8] in [[0x3D, 0xD8], [65]] {
      var decoder = try #require(UTF16Decoder(beginning: [0xFF, 0xFE]))
      #expect(decoder.decode(half, isLast: true) == Array("\u{FFFD}".utf8))
    }
    #expect(UTF16Decoder(beginning: Array("a,b".utf8)) == nil)
  }

  @Test func `leaves bad rows out where asked`() throws {
    let bad = [
      "1,2\n", "1,2,3,4\n", "x,2,3.5\n", "1,2,x\n", "1,\"2,3\n", "1,\"2\"2,3\n", "1,inf,3\n", "1e999,2,3\n",
    ]
    for row in bad {
      let text = "a,b,y\n1,2,3.5\n" + row + "4,5,6.5\n7,8,9.5\n"
      let options = CSVOptions(task: .regression, skipsBadRows: true)
      let reading = try read(text, options)
      #expect(reading.rows == [[1, 2], [4, 5], [7, 8]], "\(row)")
      let file = try TemporaryFile(Array(text.utf8))
      let source = try CSVSource<Double>(file: file.path, options: options, chunk: 16)
      #expect(source.skippedRows.count == 1 && source.rowCount == 3, "\(row)")
      #expect("\(source.skippedRows.first!)".contains("line 3"), "\(row)")
    }
    let weights = CSVOptions(weights: "w", task: .regression, skipsBadRows: true)
    #expect(try read("a,w,y\n1,2,3.5\n4,x,6.5\n5,-1,6.5\n7,1,9.5\n", weights).data.sampleWeights == [2, 1])
  }

  @Test func `that the first bad rows hide is that of the others`() throws {
    let options = CSVOptions(task: .regression, skipsBadRows: true)
    let text = "\"unclosed,1\na,b,y\n1,2,3.5\n4,5\n7,8,9.5\n"
    #expect(try read("a,b,y\n4,5\n1,2,3.5\n7,8,9.5\n", options).rows == [[1, 2], [7, 8]])
    #expect(try CSVTable(bytes: Array(text.utf8), options: options).columns >= 2)
  }
}
