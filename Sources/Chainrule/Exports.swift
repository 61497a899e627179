// A program that imports Chainrule also gets data sets, their readers and preprocessing, and the types that
// every module uses, such as ``ChainruleError``.
@_exported import ChainruleData
