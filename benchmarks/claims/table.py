def update_document(*a):
    pass
