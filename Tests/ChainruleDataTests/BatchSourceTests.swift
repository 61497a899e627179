import Foundation
import TestSupport
import Testing

@testable import ChainruleData

@Suite struct `A source of a CSV file` {
  /// Texts with everything that CSV may have, and how each is to be read.
  private static let texts: [(String, CSVOptions)] = [
    ("a,b,y\n1,2,3\n4,5,6.5\n7,8,9\n", CSVOptions()),
    ("\u{FEFF}\r\na,b,kind\r\n1,2,x\r\n\r\n4,5,\"y, \"\"z\"\"\r\nand more\"\r\n7,8,x", CSVOptions()),
    ("1;2;3\r4;5;6.5\r7;8;9\r\r", CSVOptions(delimiter: ";")),
    ("a,class\n1,2\n2,1.0\n3,10\n4,1\n", CSVOptions()),
    ("1,2\n2,1\n3,2\n4,1\n", CSVOptions()),
    ("1,2\n2,1\n3,2\n4,3\n", CSVOptions()),
    ("a,b,y\n1,u,3\n2,,4.5\nNA,v,\n4,u,7\n", CSVOptions.anyTable()),
    ("1,2\n2,1\n3,2.0\n4,1e0\n", CSVOptions(task: .classification)),
    ("1,2\n2,1\n3,2.5\n4,1\n", CSVOptions(task: .classification)),
    ("1,2\n2,1\n3,2\n4,1\n", CSVOptions(task: .regression)),
    ("a,b,y\n\"1\",2,3\n 4 ,5,6\n", CSVOptions(target: ["y", "a"])),
    ("a,b,y\n1,2,3\n4,5,6\n", CSVOptions(target: ["y"], features: ["b"], header: .yes)),
    ("x,y,z\n\"u\nv\",\"\"\"\",1\n\"\"\"a\"\"\",b,2\n", CSVOptions(target: ["2"], features: ["3"])),
  ]

  @Test(arguments: texts.indices) func `has the rows of the data set, wherever its parts end`(index: Int)
    throws
  {
    let (text, options) = Self.texts[index]
    let file = try TemporaryFile(text)
    let expected = try Dataset<Double>(csvFile: file.path, options: options)
    // 1 byte a part is too few for a row: the parts grow.
    for chunk in [2, 3, 4, 5, 7, 8, 11, 16, 1 << 20] where 16 * chunk > text.utf8.count {
      for size in [1, 2, 100] {
        let source = try CSVSource<Double>(file: file.path, options: options, chunk: chunk)
        var batches = try source.makeBatches(of: size)
        var start = 0
        while let batch = try batches.next() {
          #expect(batch == expected[rows: start..<start + min(size, expected.rows - start)])
          start += batch.rows
        }
        #expect(start == expected.rows)
        #expect((source.inputs, source.outputs) == (expected.inputs, expected.outputs))
        #expect(source.classLabels == expected.classLabels)
        #expect(source.rowCount ?? expected.rows == expected.rows)
      }
    }
  }

  @Test func `takes classes that are given, and refuses others at their place`() throws {
    let file = try TemporaryFile("a,kind\n1,x\n2,y\n3,x\n")
    let source = try CSVSource<Float>(file: file.path, targets: TargetEncoding(classes: ["y", "x"]))
    #expect(try Dataset(source).labels == [1, 0, 1])
    #expect(source.rowCount == nil)
    let other = try CSVSource<Float>(file: file.path, targets: TargetEncoding(classes: ["x", "z"]), chunk: 8)
    #expect(
      complaint { try Dataset(other) }.hasSuffix(
        "line 3, column 2: kind: \"y\" is not one of the classes x, z"))
    let numbers = try TemporaryFile("1,1.0\n2,2\n")
    #expect(
      try Dataset(CSVSource<Float>(file: numbers.path, targets: TargetEncoding(classes: ["2", "1"]))).labels
        == [1, 0])
    for classes in [[], ["x", "x"]] {
      #expect(throws: ChainruleError.self) { try TargetEncoding(classes: classes) }
    }
  }

  @Test func `names the line and column that reading it whole does`() throws {
    let rows = "1,2,3\n\"4\",5,\"6\"\n\n7,8,9\n"
    for broken in ["1,x,3\n", "1,2\n", "1,2,3,4\n", "1,\"2,3\n", "1,\"2\"2,3\n", "1,,3\n", "\"a\nb\",2,3\n"] {
      let file = try TemporaryFile(rows + broken + "5,5,5\n")
      let expected = complaint {
        try Dataset<Float>(csvFile: file.path, options: CSVOptions(task: .regression))
      }
      for chunk in [6, 7, 8, 9, 1 << 20] {
        let found = complaint {
          try Dataset(
            CSVSource<Float>(file: file.path, options: CSVOptions(task: .regression), chunk: chunk))
        }
        #expect(found == expected, "\(broken)")
      }
    }
  }

  @Test func `refuses what cannot be a source`() throws {
    let long = try TemporaryFile("1,2\n3,\"" + String(repeating: "4\n", count: 500))
    #expect(
      complaint {
        try Dataset(CSVSource<Float>(file: long.path, options: CSVOptions(task: .regression), chunk: 16))
      }
      .hasSuffix("line 2: the row is longer than 256 bytes; is there a quote that does not close?"))
    let bad: [(String, String)] = [
      ("", "the text is empty"), ("\n\n", "the text is empty"),
      ("a,b\n", "there are no rows below the header"),
    ]
    for (text, message) in bad {
      let file = try TemporaryFile(text)
      #expect(complaint { try CSVSource<Float>(file: file.path, chunk: 4) } == "\(file.path): \(message)")
    }
    let gzip = try TemporaryFile([0x1F, 0x8B, 8])
    #expect(complaint { try CSVSource<Float>(file: gzip.path) }.contains("cut short"))
    #expect(complaint { try CSVSource<Float>(file: "/dev/null") }.contains("not a regular file"))
    #expect(complaint { try CSVSource<Float>(file: "/nowhere") }.contains("No such file"))
    let good = try TemporaryFile("1,2\n3,4\n")
    #expect(throws: ChainruleError.self) { try CSVSource<Float>(file: good.path, chunk: 0) }
    #expect(throws: ChainruleError.self) { try CSVSource<Float>(file: good.path).makeBatches(of: 0) }
  }

  @Test func `takes an encoding that was fitted on some rows`() throws {
    let text = "a,colour,y\n1,red,1\n,blue,2.5\n3,,3\n"
    let options = CSVOptions(task: .regression, categorical: ["colour"], missing: .median)
    let file = try TemporaryFile(text)
    let encoding = try FeatureEncoding(fitting: CSVTable(file: file.path, options: options))
    let source = try CSVSource<Double>(file: file.path, options: options, encoding: encoding, chunk: 8)
    #expect(try Dataset(source) == Dataset<Double>(csvFile: file.path, options: options))
  }

  @Test func `notices that the file has other columns than it had`() throws {
    let file = try TemporaryFile("1,2,3.5\n3,4,5\n")
    let source = try CSVSource<Float>(file: file.path)
    try Data("1,2.5\n3,4\n".utf8).write(to: URL(filePath: file.path))
    #expect(
      complaint { try Dataset(source) }.hasSuffix(
        "the columns differ from those of the first time the file was read"))
  }

  @Test func `notices that the file has other rows than it had`() throws {
    let file = try TemporaryFile("a,c,y\n1,u,2\n3,v,4\n5,u,6\n")
    let source = try CSVSource<Float>(file: file.path, options: .anyTable(task: .regression))
    for (text, rows) in [("a,c,y\n1,u,2\n3,v,4\n", 2), ("a,c,y\n1,u,2\n3,v,4\n5,u,6\n5,u,6\n", 4)] {
      try Data(text.utf8).write(to: URL(filePath: file.path))
      #expect(
        complaint { try Dataset(source) }.hasSuffix(
          "the file had 3 rows when it was read first, and has \(rows) now"))
    }
  }

  @Test func `holds a few parts of a file, however long it is`() throws {
    // 3 MB, in parts of 16 KiB.
    var text = ""
    for row in 0..<60_000 {
      text += "\(row % 977).25,\"\(row % 31)\",\(row),\(row % 7).5,-1.25e-3,0.125,1.5\n"
    }
    let file = try TemporaryFile(text)
    #expect(text.utf8.count > 2_000_000)
    let source = try CSVSource<Float>(
      file: file.path, options: CSVOptions(header: .no, task: .regression), chunk: 1 << 14)
    var batches = try source.makeBatches(of: 500)
    var rows = 0
    while let batch = try batches.next() { rows += batch.rows }
    #expect(rows == 60_000)
    // A part, and the row that the one before has cut.
    #expect(batches.peakBytes <= (1 << 14) + 100)
  }
}

@Suite struct `A source of arrays` {
  /// An .npy file of format 1.0 with this dictionary.
  private func npy(_ dictionary: String, _ elements: [UInt8] = []) -> [UInt8] {
    let header = Array(dictionary.utf8) + [10]
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count & 255), UInt8(header.count >> 8)] + header
      + elements
  }

  private func column(_ values: [Float]) -> [UInt8] {
    npy(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (\(values.count),), }",
      values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } })
  }

  @Test func `of NumPy has the numbers that NumPy has`() throws {
    for file in try NumPyFiles.read().accepted {
      let shape = try #require(file.shape)
      let x = try TemporaryFile(file.bytes)
      let y = try TemporaryFile(column((0..<shape[0]).map(Float.init)))
      let source = try NumPySource<Double>(features: x.path, targets: y.path)
      #expect(source.rowCount == shape[0])
      let data = try Dataset(source)
      #expect(data.inputs == shape.dropFirst().reduce(1, *))
      let values = try #require(file.values).map { try #require(Double($0)) }
      #expect(data.features.map(\.bitPattern) == values.map(\.bitPattern), "\(file.name)")
      var pairs = try source.makeBatches(of: 1)
      #expect(try pairs.next()?.features.map(\.bitPattern) == values.prefix(data.inputs).map(\.bitPattern))
    }
  }

  @Test func `of NumPy refuses files of NumPy that are no rows of numbers`() throws {
    let messages = [
      "complex": "the element type is '<c16'",
      "text": "the elements are text; expected numbers", "objects": "arr.astype('str') for class labels",
      "dates": "arr.astype('datetime64[s]').astype('int64')",
      "time differences": "arr.astype('timedelta64[s]').astype('int64')", "void": "arr.view('uint8')",
      "long doubles": "long doubles; save arr.astype('float64')",
      "structured": "structured_to_unstructured(arr)", "a single number": "a single number",
      "no rows": "0 × 3",
    ]
    let files = try NumPyFiles.read().refused
    #expect(files.count == messages.count)
    for one in files {
      let file = try TemporaryFile(one.bytes)
      let message = try #require(messages[one.name])
      let found = complaint { try NumPySource<Float>(features: file.path, targets: file.path) }
      #expect(found.hasPrefix(file.path) && found.contains(message), "\(found)")
    }
  }

  @Test func `of NumPy says what is wrong with a header`() throws {
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
    let bad: [([UInt8], String)] = [
      ([], "this is not a .npy file"), (Array("PK\u{3}\u{4}".utf8), ".npz archive"),
      (Array("label,pixel\n1,2\n".utf8), "this is not a .npy file"),
      ([0x93] + Array("NUMPY".utf8), "the file ends in its header: 6 bytes"),
      ([0x93] + Array("NUMPY".utf8) + [4, 0, 1, 0], "the .npy format is 4.0"),
      ([0x93] + Array("NUMPY".utf8) + [1, 1, 1, 0], "the .npy format is 1.1"),
      ([0x93] + Array("NUMPY".utf8) + [1, 0, 1], "the file ends in its header: 9 bytes"),
      ([0x93] + Array("NUMPY".utf8) + [2, 0, 0, 0, 0, 1], "16777216 bytes long"),
      ([0x93] + Array("NUMPY".utf8) + [1, 0, 100, 0, 0x7B], "the file ends in its header: 11 bytes of 110"),
      (Array(npy(good).dropLast()) + [32, 0, 0, 0, 0], "does not end with a line feed"),
      (npy("[]"), "expected a dictionary"), (npy("{1: 2}"), "expected a key in quotes, or }, at byte 2"),
      (npy("{'descr"), "a quote does not close"), (npy("{'descr' '<f4'}"), "expected : after 'descr'"),
      (npy("{'kind': '<f4'}"), "the key 'kind' is unknown"),
      (npy("{'descr': '<f4', 'descr': '<f4'}"), "the key 'descr' is repeated"),
      (npy("{'descr': '<f4' 'shape': (1,)}"), "expected , or } after the value of 'descr'"),
      (npy(good + "x"), "there is text after the dictionary"), (npy("{}"), "the key 'descr' is missing"),
      (npy("{'descr': '<f4', 'shape': (1,)}"), "the key 'fortran_order' is missing"),
      (npy("{'descr': '<f4', 'fortran_order': False}"), "the key 'shape' is missing"),
      (npy("{'descr': 4}"), "'descr' is not a text in quotes"),
      (npy("{'descr': [('x', '<f4')]}"), "a structured dtype"),
      (npy("{'descr': '<f16'}"), "the element type is '<f16'"),
      (npy("{'descr': ''}"), "the element type is ''"),
      (npy("{'descr': '=f4'}"), "the byte order of '=f4' is unknown; expected < or >"),
      (npy("{'descr': '|f4'}"), "the byte order of '|f4' is unknown; expected < or >"),
      (npy("{'fortran_order': 0}"), "'fortran_order' is neither True nor False"),
      (npy("{'shape': 3}"), "'shape' is not a tuple"), (npy("{'shape': (3)}"), "a tuple of one is (3,)"),
      (npy("{'shape': (-3,)}"), "not an integer of at least 0"),
      (npy("{'shape': (3 4)}"), "after a dimension"),
      (npy("{'shape': (99999999999999999999,)}"), "a dimension of 'shape' is too large"),
      (
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"), "are too large"
      ),
      (npy(good, [0, 0, 0]), "expected 4 bytes after the header, for 1 elements of float32; got 3"),
      (npy(good, [0, 0, 0, 0, 0]), "got 5"),
    ]
    for (bytes, message) in bad {
      let file = try TemporaryFile(bytes)
      let found = complaint { try NumPySource<Float>(features: file.path, targets: file.path) }
      #expect(found.hasPrefix(file.path) && found.contains(message), "\(found)")
    }
    // A file cut short anywhere.
    let whole = column([1, 2])
    for count in 0..<whole.count {
      let file = try TemporaryFile(Array(whole[..<count]))
      #expect(throws: ChainruleError.self) { try NumPySource<Float>(features: file.path, targets: file.path) }
    }
  }

  @Test func `names the row of a number that is not finite, and of a label that is none`() throws {
    let x = try TemporaryFile(column([1, .infinity, 3]))
    let y = try TemporaryFile(column([0, 1, 2]))
    let source = try NumPySource<Float>(features: x.path, targets: y.path)
    var batches = try source.makeBatches(of: 1)
    #expect(try batches.next()?.features == [1])
    #expect(
      complaint { try batches.next() }
        == "\(x.path): row 2, column 1 is inf in float32; expected a finite number")

    let labels = try TemporaryFile(
      npy("{'descr': '|i1', 'fortran_order': False, 'shape': (3, 1), }", [1, 0, 255]))
    let classes = try NumPySource<Float>(features: y.path, targets: labels.path, classLabels: ["no", "yes"])
    var pairs = try classes.makeBatches(of: 2)
    let first = try #require(try pairs.next())
    #expect(first.targets == [0, 1, 1, 0] && first.classLabels == ["no", "yes"])
    #expect(complaint { try pairs.next() } == "\(labels.path): the label of row 3 is -1; expected 0 to 1")
    #expect(
      complaint { try NumPySource<Float>(features: y.path, targets: y.path, classLabels: ["no"]) }
        .hasSuffix("the labels are float32; expected integers"))
    let two = try TemporaryFile(column([1, 2]))
    #expect(
      complaint { try NumPySource<Float>(features: y.path, targets: two.path) }
        .hasSuffix("there are 2 rows of targets for 3 of features"))
  }

  @Test func `says so where a file is cut short while it is read`() throws {
    let x = try TemporaryFile(column((0..<200_000).map(Float.init)))
    let y = try TemporaryFile(column((0..<200_000).map(Float.init)))
    var batches = try NumPySource<Float>(features: x.path, targets: y.path).makeBatches(of: 1000)
    #expect(try batches.next()?.rows == 1000)
    truncate(x.path, 1000)
    #expect(
      complaint {
        while try batches.next() != nil {}
        return 0
      }
        == "\(x.path): the file has become shorter since it was opened")
    // 256 KiB of either file.
    #expect(batches.peakBytes <= 2 << 18)
  }

  @Test func `of IDX has the rows of the data set`() throws {
    func bigEndian(_ sizes: [UInt32]) -> [UInt8] {
      sizes.flatMap { size in withUnsafeBytes(of: size.bigEndian) { Array($0) } }
    }
    let images = try TemporaryFile(
      [0, 0, 8, 3] + bigEndian([3, 2, 2]) + [0, 255, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8])
    let labels = try TemporaryFile([0, 0, 8, 1] + bigEndian([3]) + [3, 0, 1])
    let expected = try Dataset<Float>(idxImages: images.path, labels: labels.path)
    let source = try IDXSource<Float>(images: images.path, labels: labels.path)
    #expect(try Dataset(source) == expected)
    #expect(source.classLabels == ["0", "1", "2", "3"] && source.rowCount == 3)
    var batches = try source.makeBatches(of: 2)
    #expect(try batches.next() == expected[rows: 0..<2])
    #expect(try batches.next() == expected[rows: 2..<3])
    #expect(try batches.next() == nil)

    for (a, b) in [(labels.path, images.path), (images.path, images.path), (images.path, "/nowhere")] {
      let whole = complaint { try Dataset<Float>(idxImages: a, labels: b) }
      #expect(complaint { try IDXSource<Float>(images: a, labels: b) } == whole)
    }
    for count in 0..<28 {
      let cut = try TemporaryFile(Array(try Data(contentsOf: URL(filePath: images.path))[..<count]))
      let whole = complaint { try Dataset<Float>(idxImages: cut.path, labels: labels.path) }
      #expect(complaint { try IDXSource<Float>(images: cut.path, labels: labels.path) } == whole)
    }
  }
}

@Suite struct `A shuffled source` {
  private func data(_ rows: Int) throws -> Dataset<Float> {
    try Dataset(
      features: (0..<rows).map { [Float($0), -Float($0)] }, targets: (0..<rows).map { [Float($0) + 0.5] }
    )
    .withSampleWeights((0..<rows).map { Float($0) + 1 })
  }

  private func order(_ source: some BatchSource<Float>, size: Int, epoch: Int) throws -> [Int] {
    var batches = try source.makeBatches(of: size, epoch: epoch)
    var order: [Int] = []
    while let batch = try batches.next() {
      for row in 0..<batch.rows {
        let number = batch.features[2 * row]
        #expect(batch.features[2 * row + 1] == -number && batch.targets[row] == number + 0.5)
        #expect(batch.sampleWeights?[row] == number + 1)
        order.append(Int(number))
      }
    }
    return order
  }

  @Test func `has every row once, none much too early, and another order in each epoch`() throws {
    for (rows, buffer) in [(1000, 64), (1000, 1), (10, 100), (300, 300), (257, 256)] {
      let source = try data(rows).shuffled(buffer: buffer, seed: 7)
      let first = try order(source, size: 32, epoch: 0)
      #expect(first.sorted() == Array(0..<rows))
      #expect(first.enumerated().allSatisfy { $1 - $0 < buffer })
      #expect(try order(source, size: 1, epoch: 0) == first)
      #expect(try order(source, size: 1000, epoch: 0) == first)
      if buffer == 1 {
        #expect(first == Array(0..<rows))
      } else {
        #expect(first != Array(0..<rows))
        #expect(try order(source, size: 32, epoch: 1) != first)
        #expect(try order(data(rows).shuffled(buffer: buffer, seed: 8), size: 32, epoch: 0) != first)
      }
    }
    #expect(throws: ChainruleError.self) { try data(3).shuffled(buffer: 0, seed: 1) }
  }

  @Test func `is standardized by the numbers of the rows in memory`() throws {
    var random = Random(state: 4)
    // Columns of moderate numbers, of large ones that differ little, and of a single one.
    let rows = random.matrix(3000, 2, scale: 1).map { [Float($0[0]), Float(1e4 + $0[1]), 7] }
    let data = try Dataset<Float>(features: rows, targets: rows.map { [$0[0]] })
    let streamed = try Standardization(fitting: data.shuffled(buffer: 1, seed: 1))
    #expect(try streamed == Standardization(fitting: data))
    #expect(streamed.standardDeviation[2] == 1)
    let huge = try Dataset<Double>(features: [[1e308], [-1e308]], targets: [[0], [0]])
    #expect(
      complaint { try Standardization(fitting: huge.shuffled(buffer: 1, seed: 1)) }.contains(
        "the standard deviation of column 1 overflows"))
  }

  @Test func `with a buffer of all rows has every order equally often`() throws {
    let source = try data(3).shuffled(buffer: 3, seed: 1)
    var counts: [[Int]: Int] = [:]
    for epoch in 0..<6000 { counts[try order(source, size: 3, epoch: epoch), default: 0] += 1 }
    // χ² of 5 degrees of freedom is above 20.5 with a probability of 0.001.
    let deviation = counts.values.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
    #expect(counts.count == 6 && deviation < 20.5)
  }
}
