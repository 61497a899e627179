import ArgumentParser
import Chainrule
import Foundation

/// Where data come from.
enum DataSource {
  case bundled(BundledDataset)
  case csv(path: String)
  /// Standard input or another pipe, which has been read.
  case standardInput(DataFile)
  case idx(images: String)
  case npy(path: String)
  case npz(path: String)
  case fann(path: String)

  /// The data that an argument names. `format` is the format of a file; nil: detected from its first bytes.
  init(_ data: String, format: DataFile.Format? = nil) throws(ChainruleError) {
    if data == "-" {
      self = .standardInput(try DataFile(data, format: format))
    } else if let bundled = BundledDataset(rawValue: data) {
      self = .bundled(bundled)
    } else if fileKind(data) == nil {
      let names = BundledDataset.allCases.map(\.rawValue).joined(separator: ", ")
      let isName = !data.contains("/") && !data.contains(".")
      throw .file(
        path: data, reason: "there is no such file" + (isName ? "; the bundled sets are \(names)" : ""))
    } else if fileKind(data) == S_IFREG {
      let shown = if let format { format } else { try DataFile.format(ofFile: data) }
      self =
        switch shown {
        case .csv: .csv(path: data)
        case .idx: .idx(images: data)
        case .npy: .npy(path: data)
        case .npz: .npz(path: data)
        case .fann: .fann(path: data)
        }
    } else {
      self = .standardInput(try DataFile(data, format: format))
    }
  }

  /// The format of the file; nil for a bundled set.
  var format: DataFile.Format? {
    switch self {
    case .bundled: nil
    case .csv: .csv
    case .standardInput(let file): file.format
    case .idx: .idx
    case .npy: .npy
    case .npz: .npz
    case .fann: .fann
    }
  }

  /// The file with its format; nil for a bundled set.
  private func file() throws(ChainruleError) -> (contents: DataFile, format: DataFile.Format)? {
    switch self {
    case .bundled: nil
    case .standardInput(let file): (file, file.format)
    case .csv(let path): (try DataFile(path, format: .csv), .csv)
    case .idx(let path): (try DataFile(path, format: .idx), .idx)
    case .npy(let path): (try DataFile(path, format: .npy), .npy)
    case .npz(let path): (try DataFile(path, format: .npz), .npz)
    case .fann(let path): (try DataFile(path, format: .fann), .fann)
    }
  }

  /// Refuses an option that only some formats have.
  func require(_ formats: [DataFile.Format], for option: String) throws(ValidationError) {
    if let format, formats.contains(format) { return }
    throw ValidationError("\(option) applies to \(list(formats.map(\.title))) only, not to \(self)")
  }
}

extension DataFile.Format {
  /// The name that messages give.
  fileprivate var title: String {
    switch self {
    case .csv: "CSV"
    case .idx: "IDX"
    case .npy: ".npy"
    case .npz: ".npz"
    case .fann: "FANN"
    }
  }
}

/// The options about the data that ``CSVOptions`` does not have.
struct DataChoices {
  /// The file of labels, of IDX and `.npy`.
  var labels: String?
  /// The array of features, of `.npz`.
  var features: String?
}

extension DataSource: CustomStringConvertible {
  /// The name that errors give.
  var description: String {
    switch self {
    case .bundled(let set): "the bundled set \(set.rawValue)"
    case .csv(let path), .idx(let path), .npy(let path), .npz(let path), .fann(let path): path
    case .standardInput(let file): file.name ?? "standard input"
    }
  }

  /// An error about the data as a whole.
  func bad(_ reason: String) -> ChainruleError {
    .badData(file: description, line: nil, column: nil, reason: reason)
  }
}

// MARK: - To train on

/// Training rows, and the encoding of the table they come from.
struct TrainingData<Scalar: NetworkScalar> {
  var rows: Dataset<Scalar>
  /// nil if the data are not a table.
  var encoding: TableEncoding?
  /// The kind of the targets.
  var task: CSVOptions.LearningTask

  init(rows: Dataset<Scalar>, encoding: TableEncoding?, task: CSVOptions.LearningTask) {
    self.rows = rows
    self.encoding = encoding
    self.task = task
  }

  init(_ table: EncodedTable<Scalar>, task: CSVOptions.LearningTask) {
    self.init(rows: table.rows, encoding: table.encoding, task: task)
  }

  /// Features that may be any number, rather than 0 or 1 alone.
  var areNumbers: [Bool]? { encoding?.features.areNumbers }
}

extension DataSource {
  /// All rows of a table with a target; nil for other formats than CSV. What was guessed and left out is
  /// said, unless `isQuiet`.
  func table<Scalar: NetworkScalar>(options: CSVOptions, isQuiet: Bool) throws -> EncodedTable<Scalar>? {
    guard let file = try file(), file.format == .csv else { return nil }
    let table = try CSVTable(file.contents, options: options)
    Notes.show(table.notes, isQuiet: isQuiet)
    let encoded = try EncodedTable<Scalar>(fitting: table)
    if !isQuiet { encoded.report.showMissingTargets(in: self) }
    encoded.skippedRows.report()
    return encoded
  }

  /// All rows. Of `options`, other formats than CSV have the targets and the task.
  func dataset<Scalar: NetworkScalar>(options: CSVOptions, choices: DataChoices) throws -> Dataset<Scalar> {
    guard let (file, format) = try file() else {
      guard case .bundled(let set) = self else { throw bad("there are no data") }
      return try .bundled(set)
    }
    switch format {
    case .csv: return try Dataset(csv: CSVTable(file, options: options))
    case .idx:
      let images = try IDXFile(file)
      return try Dataset(images: images, labels: IDXFile(file: choices.labels ?? labelsBesideImages()))
    case .npy:
      let array = try NumPyArray(file)
      guard let labels = choices.labels else { return try table(array, options) }
      return try Dataset(features: array, targets: NumPyArray(file: labels), task: options.task)
    case .npz:
      guard options.target.count <= 1 else {
        throw ValidationError("for an .npz archive --target names one array; found \(options.target.count)")
      }
      let (x, y) = try NumPyArchive(file).arrays(features: choices.features, targets: options.target.first)
      guard let y else { return try table(x, options) }
      return try Dataset(features: x, targets: y, task: options.task)
    case .fann: return try Dataset(fann: FANNFile(file), task: options.task)
    }
  }

  /// The rows of one array, of which --target names columns.
  private func table<Scalar: NetworkScalar>(_ array: NumPyArray, _ options: CSVOptions) throws -> Dataset<
    Scalar
  > {
    let targets = options.target.compactMap(Int.init)
    guard targets.count == options.target.count else {
      throw ValidationError("the columns of an array are numbered from 1; --target is \(options.target[0])")
    }
    return try Dataset(table: array, targets: targets, task: options.task)
  }

  /// ``labels(besides:)`` the images.
  private func labelsBesideImages() throws -> String {
    guard case .idx(let images) = self else {
      throw ValidationError("\(self) is an IDX file of images; name the file with the labels with --labels")
    }
    return try Self.labels(besides: images)
  }

  /// The file of labels next to a file of images, by MNIST's names.
  static func labels(besides images: String) throws -> String {
    let url = URL(fileURLWithPath: images)
    let name = url.lastPathComponent
    let labels = name.replacingOccurrences(of: "images", with: "labels")
      .replacingOccurrences(of: "idx3", with: "idx1")
    let path = url.deletingLastPathComponent().appendingPathComponent(labels).path
    guard labels != name, fileKind(path) != nil else {
      throw ValidationError("\(images) is an IDX file of images; name the file with the labels with --labels")
    }
    return path
  }
}

// MARK: - For a model

extension DataSource {
  /// All rows with the features and the targets that `model` has, in its order, and the bad rows left out.
  /// `encoding` is how columns of CSV become them; nil: the features are the columns as they stand.
  func dataset<Scalar: NetworkScalar>(
    for model: Model<Scalar>, encoding: TableEncoding?, options: CSVOptions, choices: DataChoices,
    report: inout EncodingReport
  ) throws -> (data: Dataset<Scalar>, skipped: SkippedRows) {
    guard let file = try file(), file.format == .csv else {
      let data: Dataset<Scalar> = try dataset(
        options: CSVOptions(
          target: options.target, task: model.classLabels == nil ? .regression : .classification),
        choices: choices)
      return (try checked(data, for: model), SkippedRows())
    }
    let (features, targets) = try encodings(of: model, encoding)
    var table = try CSVTable(file.contents, options: options.reading(features, model))
    Notes.show(table.notes)
    try choose(options.target, for: model, features, targets, in: &table)
    let known = try features ?? FeatureEncoding(fitting: table)
    if options.skipsBadRows {
      table = try table.withoutBadRows(for: Scalar.self, features: known, targets: targets)
    }
    table.options.skipsBadRows = false
    let data = try Dataset<Scalar>(csv: table, encoding: known, targets: targets, report: &report)
    return (try checked(data, for: model), table.skippedRows)
  }

  /// As ``dataset(for:encoding:options:choices:report:)``, read batch by batch; nil if the data are not a CSV
  /// file that can be read again.
  func source<Scalar: NetworkScalar>(
    for model: Model<Scalar>, encoding: TableEncoding?, options: CSVOptions
  ) throws -> CSVSource<Scalar>? {
    guard case .csv(let path) = self else { return nil }
    let (features, targets) = try encodings(of: model, encoding)
    var reading = options.reading(features, model)
    reading.skipsBadRows = false
    var reader = try CSVReader(path, options: reading)
    guard var table = try reader.next() else { throw bad("there are no rows") }
    Notes.show(table.notes)
    try choose(options.target, for: model, features, targets, in: &table)
    reading = table.options
    reading.skipsBadRows = options.skipsBadRows
    let source = try CSVSource<Scalar>(
      file: path, options: reading, encoding: try features ?? FeatureEncoding(fitting: table),
      targets: targets)
    try check(inputs: source.inputs, outputs: source.outputs, for: model)
    return source
  }

  /// How a table becomes the features and targets of a model. Without an encoding, the features are columns
  /// as they stand, and nil.
  private func encodings<Scalar>(
    of model: Model<Scalar>, _ encoding: TableEncoding?
  ) throws(ChainruleError) -> (features: FeatureEncoding?, targets: TargetEncoding) {
    if let encoding { return (encoding.features, encoding.targets) }
    if let classes = model.classLabels { return (nil, try TargetEncoding(classes: classes)) }
    return (nil, .numbers)
  }

  private func checked<Scalar>(_ data: Dataset<Scalar>, for model: Model<Scalar>) throws -> Dataset<Scalar> {
    var data = data
    if let classes = model.classLabels, data.inputs == model.inputs {
      guard data.classLabels != nil else {
        throw bad(
          "the targets are numbers; the model predicts the classes \(classes.joined(separator: ", "))")
      }
      do {
        data = try data.withClasses(classes)
      } catch {
        guard case .badData(_, _, _, let reason) = error else { throw error }
        throw bad(reason)
      }
    }
    try check(inputs: data.inputs, outputs: data.outputs, for: model)
    return data
  }

  func check<Scalar>(inputs: Int, outputs: Int, for model: Model<Scalar>) throws(ChainruleError) {
    guard inputs == model.inputs else {
      throw bad("\(thereAre(inputs, "feature")); the model needs \(model.inputs)")
    }
    guard outputs == model.outputs else {
      throw bad("\(thereAre(outputs, "target")); the model predicts \(model.outputs)")
    }
  }

  /// Sets which columns of `table` are the model's: its features by name where both have names, otherwise all
  /// columns but the targets. Those are the ones asked for, or else the model's own by name, or else what is
  /// left beside the features, or else those at the places of the training data, or else the last.
  private func choose<Scalar>(
    _ target: [String], for model: Model<Scalar>, _ encoding: FeatureEncoding?, _ targets: TargetEncoding,
    in table: inout CSVTable
  ) throws(ChainruleError) {
    let count = model.classLabels == nil ? model.outputs : 1
    let columns = table.columnNames ?? (1...table.columns).map(String.init)
    let names = table.columnNames == nil ? nil : encoding.map(\.columnNames) ?? model.featureNames
    table.options.features = names
    if !target.isEmpty {
      table.options.target = target
    } else if let own = model.targetNames ?? targets.columnNames, Set(own).isSubset(of: columns) {
      table.options.target = own
    } else if let names {
      for name in names { _ = try table.column(name) }
      let others = columns.filter { !names.contains($0) }
      guard others.count == count else {
        throw bad(
          others.isEmpty
            ? "there is no column besides the model's features; evaluating needs the target"
            : "any of \(others.joined(separator: ", ")) may be the target; name it with --target")
      }
      table.options.target = others
    } else if let numbers = encoding?.targetNumbers(ofColumns: table.columns) {
      table.options.target = numbers.map(String.init)
    } else {
      table.options.target = columns.suffix(count)
    }
  }
}

// MARK: - To predict

extension DataSource {
  /// Gives `body` the features that `model` takes, row-major rows × inputs, of some rows at a time, and the
  /// texts of the column `id` of the same rows. `encoding` is how columns of CSV become the features; nil: as
  /// they stand.
  func forEachFeatures<Scalar: NetworkScalar>(
    for model: Model<Scalar>, encoding: FeatureEncoding?, options: CSVOptions, id: String?,
    choices: DataChoices,
    report: inout EncodingReport, _ body: (_ features: [Scalar], _ ids: [String]?) throws -> Void
  ) throws {
    if case let (path, isCSV) = csvPath, isCSV {
      var reader = try CSVReader(path, options: options.reading(encoding, model))
      var isFirst = true
      while let table = try reader.next() {
        if isFirst { Notes.show(table.notes) }
        isFirst = false
        let features = try self.features(of: table, for: model, encoding: encoding, report: &report)
        try body(features, id.map { try table.texts(inColumn: $0) })
      }
      if isFirst { throw reader.skippedRows.first ?? bad("there are no rows") }
      return
    }
    if id != nil { try require([.csv], for: "--id") }
    let features: [Scalar]
    let count: Int
    switch (try file(), self) {
    case (let (file, .csv)?, _):
      let table = try CSVTable(file, options: options.reading(encoding, model))
      Notes.show(table.notes)
      features = try self.features(of: table, for: model, encoding: encoding, report: &report)
      return try body(features, id.map { try table.texts(inColumn: $0) })
    case (let (file, .idx)?, _):
      let images = try IDXFile(file)
      (features, count) = (try images.values(), images.dimensions.dropFirst().reduce(1, *))
    case (let (file, .npy)?, _):
      let array = try NumPyArray(file)
      (features, count) = (try array.values(), array.columns)
    case (let (file, .npz)?, _):
      let (array, _) = try NumPyArchive(file).arrays(features: choices.features, needsTargets: false)
      (features, count) = (try array.values(), array.columns)
    case (let (file, .fann)?, _):
      let rows = try FANNFile(file)
      (features, count) = (try rows.values().inputs, rows.inputs)
    case (nil, .bundled(let set)):
      let data = try Dataset<Scalar>.bundled(set)
      (features, count) = (data.features, data.inputs)
    case (nil, _): throw bad("there are no data")
    }
    guard count == model.inputs else {
      throw bad("\(thereAre(count, "feature")); the model needs \(model.inputs)")
    }
    try body(features, nil)
  }

  /// The path of a CSV file, which is read part by part.
  private var csvPath: (path: String, isCSV: Bool) {
    if case .csv(let path) = self { (path, true) } else { ("", false) }
  }

  private func features<Scalar: NetworkScalar>(
    of table: CSVTable, for model: Model<Scalar>, encoding: FeatureEncoding?, report: inout EncodingReport
  ) throws(ChainruleError) -> [Scalar] {
    if let encoding {
      do {
        return try encoding.features(of: table, report: &report)
      } catch {
        guard case .shapeMismatch = error else { throw error }
        throw bad(
          "\(thereAre(table.columns, "column")); the model's features are made of "
            + "\(encoding.columns.count)")
      }
    }
    let isByName = table.columnNames != nil && model.featureNames != nil
    guard isByName || table.columns == model.inputs else {
      throw bad(
        "\(thereAre(table.columns, "column")); the model needs \(counted(model.inputs, "feature"))"
      )
    }
    return try table.features(named: model.featureNames, count: model.inputs)
  }
}

extension CSVOptions {
  /// These options for a table of a model: its numbers and missing cells are those that the model was trained
  /// on.
  fileprivate func reading<Scalar>(_ encoding: FeatureEncoding?, _ model: Model<Scalar>) -> CSVOptions {
    var options = encoding?.readingOptions ?? CSVOptions(named: model.featureNames)
    options.header = header
    options.delimiter = delimiter
    options.skipsBadRows = skipsBadRows
    options.weights = weights
    return options
  }
}

// MARK: - Notes and warnings

/// Prints notes about a table on standard error.
enum Notes {
  static func show(_ texts: [String], isQuiet: Bool = false) {
    show(texts.map { TableNote(text: $0) }, isQuiet: isQuiet)
  }

  static func show(_ notes: [TableNote], isQuiet: Bool) {
    for note in notes where note.isWarning || !isQuiet {
      Output.say("\(note.isWarning ? "warning: " : "")\(note.text)")
    }
  }
}

extension EncodingReport {
  /// Prints the number of rows without a target on standard error, if there are any.
  func showMissingTargets(in source: DataSource) {
    guard missingTargets > 0 else { return }
    let line = firstMissingTarget.map { ", the first in line \($0)" } ?? ""
    Output.say("\(source): \(counted(missingTargets, "row")) without a target left out\(line)")
  }

  /// Prints on standard error which rows and categories were ignored, if any.
  func show(in source: DataSource) {
    showMissingTargets(in: source)
    guard !unknown.isEmpty else { return }
    let cells = unknown.reduce(0) { $0 + $1.count }
    let first = unknown.prefix(3).map { "\"\($0.first)\" of \($0.column) in line \($0.line)" }
    Output.say(
      "warning: \(source): \(counted(cells, "cell")) in \(counted(unknown.count, "column")) "
        + "\(cells == 1 ? "names a category" : "name categories") that the model does not know, such as "
        + "\(first.joined(separator: ", ")); the features are all zeros there")
  }
}

extension SkippedRows {
  /// Prints the number of skipped rows and the error of the first on standard error, if there are any.
  func report() {
    guard let first else { return }
    Output.say("\(counted(count, "bad row")) left out, the first: \(first)")
  }
}
